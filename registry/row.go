package registry

import "strings"

// Columns are the headings of the registry's twelve columns, in the CSV's order.
var Columns = [...]string{
	"Service Name", "Port Number", "Transport Protocol", "Description", "Assignee", "Contact",
	"Registration Date", "Modification Date", "Reference", "Service Code",
	"Unauthorized Use Reported", "Assignment Notes",
}

// Indices into Columns.
const (
	serviceColumn = iota
	portColumn
	transportColumn
	descriptionColumn
	assigneeColumn
	contactColumn
	registeredColumn
	modifiedColumn
	referenceColumn
	serviceCodeColumn
	unauthorizedColumn
	notesColumn
)

// Row is one record of the registry. Any field may be empty. White space within
// a field is folded to single spaces.
type Row struct {
	// Service is the service name in the registry's own case; it need not follow
	// RFC 6335's syntax of names.
	Service string
	// Ports is empty if the row names a service without a port.
	Ports Ports
	// Transports is one transport, or all if the registry names none.
	Transports  TransportSet
	Description string
	// Assignee and Contact are names of people and organizations in brackets,
	// as the CSV shows them: no addresses.
	Assignee, Contact string
	// Registered and Modified are YYYY-MM-DD, YYYY-MM or a year.
	Registered, Modified string
	Reference            string // in brackets, like [RFC6335]
	// ServiceCode is DCCP's (RFC 4340 section 8.1.2), decimal.
	ServiceCode string
	// Unauthorized is IANA's own text about reported unauthorized use;
	// Entry.UnauthorizedUse says which pairs it refers to.
	Unauthorized string
	Notes        string
}

// transportCell returns the transport as the registry writes it: "" if the row
// covers all.
func (r *Row) transportCell() string {
	if r.Transports == AllTransports {
		return ""
	}
	return r.Transports.String()
}

// Fields returns the row as text, in the order of Columns.
func (r *Row) Fields() [len(Columns)]string {
	f := [len(Columns)]string{portColumn: r.Ports.String(), transportColumn: r.transportCell()}
	for column := range f {
		if s := r.text(column); s != nil {
			f[column] = *s
		}
	}
	return f
}

// text returns a pointer to a column that is plain text, nil for the other two.
func (r *Row) text(column int) *string {
	switch column {
	case serviceColumn:
		return &r.Service
	case descriptionColumn:
		return &r.Description
	case assigneeColumn:
		return &r.Assignee
	case contactColumn:
		return &r.Contact
	case registeredColumn:
		return &r.Registered
	case modifiedColumn:
		return &r.Modified
	case referenceColumn:
		return &r.Reference
	case serviceCodeColumn:
		return &r.ServiceCode
	case unauthorizedColumn:
		return &r.Unauthorized
	case notesColumn:
		return &r.Notes
	}
	return nil
}

// Contains reports whether any of the twelve fields contains the text, ignoring
// case.
func (r *Row) Contains(text string) bool {
	text = strings.ToLower(text)
	for _, f := range r.Fields() {
		if strings.Contains(strings.ToLower(f), text) {
			return true
		}
	}
	return false
}
