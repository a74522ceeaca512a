package main

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/spf13/pflag"
)

var (
	manualItem   = regexp.MustCompile(`(?m)^\.It Fl .*`)
	manualOption = regexp.MustCompile(`(?m)^\..*(?:Fl|,) -([a-z-]+)`)
)

// TestManual compares the manual page with the options: each option of a metering run has an
// item with the name of its value, each option of a subcommand is named, and no others are.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("portwatch.1")
	if err != nil {
		t.Fatal(err)
	}
	items, named := map[string]bool{}, map[string]bool{}
	for _, line := range manualItem.FindAllString(string(text), -1) {
		items[line] = true
	}
	for _, match := range manualOption.FindAllStringSubmatch(string(text), -1) {
		named[match[1]] = true
	}
	known := map[string]bool{}
	new(options).flags().VisitAll(func(f *pflag.Flag) {
		item := ".It Fl -" + f.Name
		if f.Shorthand != "" {
			item = fmt.Sprintf(".It Fl %s , -%s", f.Shorthand, f.Name)
		}
		if value, _ := pflag.UnquoteUsage(f); f.NoOptDefVal == "" {
			item += " Ar " + value
		}
		if !items[item] {
			t.Errorf("no line %q", item)
		}
		delete(items, item)
		known[f.Name] = true
	})
	for item := range items {
		t.Errorf("%q is no option of a metering run", item)
	}
	for _, set := range commandOptions() {
		set.flags.VisitAll(func(f *pflag.Flag) {
			if !named[f.Name] {
				t.Errorf("nothing about --%s of %s", f.Name, set.command)
			}
			known[f.Name] = true
		})
	}
	for name := range named {
		if !known[name] {
			t.Errorf("no command has --%s", name)
		}
	}
}
