package template

import (
	"archive/tar"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"
)

//go:embed files
var files embed.FS

// A Template is what one receiver imports.
type Template struct {
	Name string
	// Also are other names of the same template.
	Also []string
	// About says what it is, in one line.
	About string
	// Path is the path of its file below the folder files or, if the receiver wants
	// several, of their folder.
	Path string
}

// All are the templates that there are, in the order in which people look for them.
var All = []Template{
	{"opensearch", []string{"elasticsearch", "ecs"}, "index template: every field of records and alerts with its type", "opensearch.json"},
	{"opensearch-ism", nil, "index state management policy: roll over, delete after 30 days", "opensearch-ism.json"},
	{"opensearch-dashboards", nil, "dashboard, as saved objects to import", "opensearch-dashboards.ndjson"},
	{"grafana", nil, "dashboard for the Elasticsearch data source", "grafana.json"},
	{"splunk", nil, "app with the fields of CIM Network Traffic, as a tar archive", "splunk"},
	{"clickhouse", nil, "table with typed columns, and the view that fills it", "clickhouse.sql"},
	{"kafka", nil, "command that creates the topic", "kafka.sh"},
	{"loki", nil, "limits that suit the records", "loki.yaml"},
	{"rsyslog", nil, "TLS input, one JSON line per record", "rsyslog.conf"},
	{"syslog-ng", nil, "TLS source, one JSON line per record", "syslog-ng.conf"},
	{"logstash", nil, "pipeline from an HTTP input to a data stream", "logstash.conf"},
	{"vector", nil, "file and HTTP sources, parsed into records", "vector.yaml"},
	{"filebeat", nil, "input for files with rotation", "filebeat.yml"},
}

// Find returns the template with a name, nil if there is none.
func Find(name string) *Template {
	for i := range All {
		if t := &All[i]; t.Name == name || slices.Contains(t.Also, name) {
			return t
		}
	}
	return nil
}

// IsArchive reports whether Write writes a tar archive, which a program must unpack.
func (t *Template) IsArchive() bool { return path.Ext(t.Path) == "" }

// Write writes the template's file or, if it has several, a tar archive that holds them
// in a folder called portwatch. The same program always writes the same bytes.
func (t *Template) Write(w io.Writer) error {
	root := path.Join("files", t.Path)
	if !t.IsArchive() {
		text, err := files.ReadFile(root)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	}
	archive := tar.NewWriter(w)
	err := fs.WalkDir(files, root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		head := tar.Header{Name: "portwatch" + name[len(root):], ModTime: time.Unix(0, 0)}
		if entry.IsDir() {
			head.Typeflag, head.Name, head.Mode = tar.TypeDir, head.Name+"/", 0o755
			return archive.WriteHeader(&head)
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		head.Mode, head.Size = 0o644, int64(len(text))
		if err := archive.WriteHeader(&head); err != nil {
			return err
		}
		_, err = archive.Write(text)
		return err
	})
	if err != nil {
		return fmt.Errorf("template %s: %w", t.Name, err)
	}
	return archive.Close()
}
