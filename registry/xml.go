package registry

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	namespace  = "http://www.iana.org/assignments"
	registryID = "service-names-port-numbers"
)

// parseXML reads IANA's XML into the fields that the CSV has. People remain the
// names by which rows refer to them: the section with their addresses is not read.
func parseXML(data []byte) (*source, error) {
	p := &xmlParser{Decoder: xml.NewDecoder(bytes.NewReader(data))}
	if err := p.root(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrFormat)
	}
	if err := p.registry(); err != nil {
		return nil, p.place(err)
	}
	return &p.source, nil
}

type xmlParser struct {
	*xml.Decoder
	source
	row, line int // of the record that is being read; 0 outside records
	depth     int // how many elements are open
}

// maxDepth is how deep elements may be nested. IANA's are four deep.
const maxDepth = 64

// Token is the Decoder's, with a bound: the Decoder remembers all open elements, and the
// sender chooses how many there are.
func (p *xmlParser) Token() (xml.Token, error) {
	token, err := p.Decoder.Token()
	switch token.(type) {
	case xml.StartElement:
		if p.depth++; p.depth > maxDepth {
			return nil, fmt.Errorf("more than %d levels of XML", maxDepth)
		}
	case xml.EndElement:
		p.depth--
	}
	return token, err
}

// Skip reads up to the end of the element, as the Decoder's does, but through our Token.
func (p *xmlParser) Skip() error {
	_, err := p.text(false)
	return err
}

// place adds the parser's position to an error.
func (p *xmlParser) place(err error) *RowError {
	line, _ := p.InputPos()
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		line, err = syntax.Line, fmt.Errorf("not well-formed XML: %s", syntax.Msg)
	} else if p.row > 0 {
		line = p.line
	}
	return &RowError{Row: p.row, Line: line, Err: err}
}

func (p *xmlParser) root() error {
	e, err := p.child()
	if err != nil {
		return err
	}
	if e.Name != (xml.Name{Space: namespace, Local: "registry"}) {
		return fmt.Errorf("the root element is <%s>", e.Name.Local)
	}
	if id := attribute(e, "id"); id != registryID {
		return fmt.Errorf("the registry's id is %s", quoted(id))
	}
	return nil
}

// registry reads the root's children, and checks that nothing comes after the root.
func (p *xmlParser) registry() error {
	for {
		e, err := p.child()
		if err != nil {
			return err
		}
		if e == nil {
			break
		}
		switch e.Name.Local {
		case "updated":
			p.date, err = p.content()
			p.date = fold(p.date)
		case "record":
			err = p.record(e)
		default:
			err = p.Skip()
		}
		if err != nil {
			return err
		}
	}
	if e, err := p.child(); err != io.EOF || e != nil {
		return cmp.Or(err, errors.New("more than one root element"))
	}
	return nil
}

// record reads one row. Its elements come in any order; an empty one counts as
// missing.
func (p *xmlParser) record(start *xml.StartElement) error {
	p.row = len(p.rows) + 1
	p.line, _ = p.InputPos()
	var texts [len(Columns)]strings.Builder
	for {
		e, err := p.child()
		if err == nil && e != nil {
			err = p.field(&texts, e)
		}
		if err != nil {
			return err
		}
		if e == nil {
			break
		}
	}
	var fields [len(Columns)]string
	for column := range texts {
		fields[column] = texts[column].String()
	}
	fields[registeredColumn] = attribute(start, "date")
	fields[modifiedColumn] = attribute(start, "updated")
	if fields[assigneeColumn] == "" {
		fields[assigneeColumn] = fields[contactColumn]
	}
	row, err := newRow(fields[:])
	if err != nil {
		return err
	}
	p.rows = append(p.rows, row)
	p.row = 0
	return nil
}

// field adds an element of a record to the field that it belongs to.
func (p *xmlParser) field(texts *[len(Columns)]strings.Builder, e *xml.StartElement) error {
	column := 0
	switch e.Name.Local {
	case "xref":
		column = referenceColumn
		if attribute(e, "type") == "person" {
			column = contactColumn
		}
		s, err := p.xref(e)
		texts[column].WriteString(s)
		return err
	case "assignee":
		return p.people(&texts[assigneeColumn])
	case "name":
		column = serviceColumn
	case "number":
		column = portColumn
	case "protocol":
		column = transportColumn
	case "description":
		column = descriptionColumn
	case "sc":
		column = serviceCodeColumn
	case "unauthorized":
		column = unauthorizedColumn
	case "note":
		column = notesColumn
	default:
		return p.Skip()
	}
	s, err := p.content()
	texts[column].WriteByte(' ')
	texts[column].WriteString(s)
	return err
}

// people reads the references to persons up to the end of the element.
func (p *xmlParser) people(names *strings.Builder) error {
	for {
		e, err := p.child()
		if err != nil || e == nil {
			return err
		}
		name, err := p.xref(e)
		if err != nil {
			return err
		}
		if attribute(e, "type") == "person" {
			names.WriteString(name)
		}
	}
}

// xref reads a reference as the CSV shows it: people and footnotes by their key,
// the rest by its own words if it has any.
func (p *xmlParser) xref(e *xml.StartElement) (string, error) {
	text, err := p.text(false)
	if err != nil {
		return "", err
	}
	words := fold(text)
	switch kind := attribute(e, "type"); {
	case kind == "person", kind == "note":
		words = attribute(e, "data")
	case words == "" && kind == "rfc":
		words = strings.ToUpper(attribute(e, "data"))
	case words == "":
		words = attribute(e, "data")
	}
	return "[" + words + "]", nil
}

// content reads up to the end of the element: its text, and references as xref
// shows them. All other markup becomes white space.
func (p *xmlParser) content() (string, error) { return p.text(true) }

// text reads up to the end of the element: its text, with or without references. It counts
// the depth instead of calling itself, because the sender chooses the depth.
func (p *xmlParser) text(references bool) (string, error) {
	var text strings.Builder
	for depth := 1; depth > 0; {
		token, err := p.Token()
		if err != nil {
			return "", err
		}
		switch token := token.(type) {
		case xml.CharData:
			text.Write(token)
		case xml.StartElement:
			if references && token.Name.Local == "xref" {
				s, err := p.xref(&token)
				if err != nil {
					return "", err
				}
				text.WriteString(s)
				continue
			}
			text.WriteByte(' ')
			depth++
		case xml.EndElement:
			text.WriteByte(' ')
			depth--
		}
	}
	return text.String(), nil
}

// child returns the next element inside the one that is being read, or nil at its
// end.
func (p *xmlParser) child() (*xml.StartElement, error) {
	for {
		token, err := p.Token()
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			return &token, nil
		case xml.EndElement:
			return nil, nil
		case xml.CharData:
			if s := fold(string(token)); s != "" {
				return nil, fmt.Errorf("text where an element is expected: %s", quoted(s))
			}
		}
	}
}

// attribute returns the value of an attribute without namespace, or "".
func attribute(e *xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
