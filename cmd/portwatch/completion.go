package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/portwatch/portwatch/records"
)

// subcommands are the words that the first argument alone can be.
var subcommands = []string{"annotate", "lookup", "registry", "template", "completion"}

// wordsOf are the words that follow a subcommand.
var wordsOf = map[string][]string{
	"registry":   {"info", "search", "export", "diff", "update", "verify"},
	"template":   templateNames(),
	"completion": {"bash", "zsh", "fish"},
}

const completionUsage = `Usage: portwatch completion bash | zsh | fish

Prints a script that completes portwatch's command line. To load it:

  bash   portwatch completion bash > /etc/bash_completion.d/portwatch
  zsh    portwatch completion zsh > "${fpath[1]}/_portwatch"
  fish   portwatch completion fish > ~/.config/fish/completions/portwatch.fish
`

// completionCommand prints the script for one shell. The scripts are made from
// the options themselves, so that a new option is completed without further work.
func completionCommand(args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 {
		meter, others := new(options).flags(), commandOptions()
		switch args[0] {
		case "bash":
			return write(stdout, stderr, bashCompletion(meter, others))
		case "zsh":
			return write(stdout, stderr, zshCompletion(meter, others))
		case "fish":
			return write(stdout, stderr, fishCompletion(meter, others))
		case "-h", "--help":
			return write(stdout, stderr, completionUsage)
		}
	}
	report(stderr, usageError{"completion needs one shell: bash, zsh or fish", "portwatch completion bash"})
	return exitUsage
}

// An optionSet is the options of one subcommand.
type optionSet struct {
	command string
	flags   *pflag.FlagSet
}

// commandOptions returns the sets of all subcommands; the set of registry has the options
// of all its commands.
func commandOptions() (sets []optionSet) {
	for _, command := range subcommands {
		flags := pflag.NewFlagSet(command, pflag.ContinueOnError)
		switch command {
		case "annotate":
			flags = new(annotateOptions).flags()
		case "lookup":
			q := newQuery("", io.Discard, io.Discard)
			q.lookup()
			flags = q.flags
		case "registry":
			for _, word := range wordsOf[command] {
				q := newQuery("", io.Discard, io.Discard)
				q.commands()[word]()
				flags.AddFlagSet(q.flags)
			}
		}
		sets = append(sets, optionSet{command, flags})
	}
	return sets
}

// A valueKind is what a shell should offer as the value of an option.
type valueKind int

const (
	noValue valueKind = iota
	anyValue
	fileValue
	deviceValue
	wordValue // one of words
)

func valueOf(f *pflag.Flag) (kind valueKind, words []string) {
	switch f.Name {
	case "read", "write", "filter-file", "registry", "stats", "to", "spool", "dead-letter", "from":
		return fileValue, nil
	case "interface":
		return deviceValue, nil
	case "output":
		if f.DefValue != "" { // the option of registry
			return wordValue, []string{"text", "tsv", "csv", "json"}
		}
		return wordValue, append(slices.Clone(formats), "none")
	case "tunnels":
		return wordValue, tunnelWords
	case "from-format":
		return wordValue, records.Formats
	}
	if f.NoOptDefVal != "" {
		return noValue, nil
	}
	return anyValue, nil
}

// devicesCommand prints one device name per line: -D without its other columns.
const devicesCommand = `portwatch -D 2>/dev/null | awk '{print $2}'`

func bashCompletion(meter *pflag.FlagSet, others []optionSet) string {
	var b strings.Builder
	b.WriteString(`# bash completion of portwatch
_portwatch() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	COMPREPLY=()
	# bash makes three words of --output=text.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD-2]}
	fi
	case $COMP_CWORD/${COMP_WORDS[1]} in
`)
	fmt.Fprintf(&b, "\t1/[!-]*|1/) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")) ;;\n", strings.Join(subcommands, " "))
	for _, command := range subcommands {
		if words := wordsOf[command]; words != nil {
			fmt.Fprintf(&b, "\t2/%s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")) ;;\n", command, strings.Join(words, " "))
		}
	}
	for _, set := range others {
		fmt.Fprintf(&b, "\t*/%s)\n%s\t\t;;\n", set.command, bashOptions(set.flags))
	}
	fmt.Fprintf(&b, "\t*)\n%s\t\t;;\n\tesac\n}\ncomplete -o default -F _portwatch portwatch\n", bashOptions(meter))
	return b.String()
}

// bashOptions returns the cases that complete the options of a set and their values.
func bashOptions(flags *pflag.FlagSet) string {
	var all []string
	var b strings.Builder
	b.WriteString("\t\tcase $prev in\n")
	flags.VisitAll(func(f *pflag.Flag) {
		names := []string{"--" + f.Name}
		if f.Shorthand != "" {
			names = append(names, "-"+f.Shorthand)
		}
		all = append(all, names...)
		switch kind, words := valueOf(f); kind {
		case fileValue, anyValue: // without a reply, bash itself completes file names
			fmt.Fprintf(&b, "\t\t%s) return ;;\n", strings.Join(names, "|"))
		case deviceValue:
			fmt.Fprintf(&b, "\t\t%s) COMPREPLY=($(compgen -W \"$(%s)\" -- \"$cur\")); return ;;\n", strings.Join(names, "|"), devicesCommand)
		case wordValue:
			fmt.Fprintf(&b, "\t\t%s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n", strings.Join(names, "|"), strings.Join(words, " "))
		}
	})
	fmt.Fprintf(&b, "\t\tesac\n\t\tcase $cur in\n\t\t-*) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")) ;;\n\t\tesac\n", strings.Join(all, " "))
	return b.String()
}

func zshCompletion(meter *pflag.FlagSet, others []optionSet) string {
	var b strings.Builder
	b.WriteString("#compdef portwatch\n# zsh completion of portwatch\n")
	fmt.Fprintf(&b, "_portwatch_devices() { local -a d; d=(${(f)\"$(%s)\"}); compadd -a d }\n", devicesCommand)
	b.WriteString("if (( CURRENT > 2 )); then\n  case $words[2] in\n")
	for _, set := range others {
		fmt.Fprintf(&b, "  %s)\n", set.command)
		if words := wordsOf[set.command]; words != nil {
			fmt.Fprintf(&b, "    (( CURRENT > 3 )) || { compadd %s; return }\n", strings.Join(words, " "))
		}
		fmt.Fprintf(&b, "    shift words; (( CURRENT-- ))\n    _arguments -s -S \\\n%s      '*:file:_files'\n    return ;;\n", zshOptions(set.flags))
	}
	b.WriteString("  esac\nfi\n")
	fmt.Fprintf(&b, "_arguments -s -S \\\n%s      '1::command:(%s)' \\\n      '*: :()'\n", zshOptions(meter), strings.Join(subcommands, " "))
	return b.String()
}

func zshOptions(flags *pflag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		what, help := pflag.UnquoteUsage(f)
		var value string
		switch kind, words := valueOf(f); kind {
		case fileValue:
			value = ":file:_files"
		case deviceValue:
			value = ":device:_portwatch_devices"
		case wordValue:
			value = ":" + what + ":(" + strings.Join(words, " ") + ")"
		case anyValue:
			value = ":" + what + ": "
		}
		long := f.Name
		if value != "" {
			long += "=" // otherwise the value is the next word
		}
		help = strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`).Replace(help)
		if f.Shorthand != "" {
			fmt.Fprintf(&b, "      '*-%s[%s]%s' \\\n", f.Shorthand, help, value)
		}
		fmt.Fprintf(&b, "      '*--%s[%s]%s' \\\n", long, help, value)
	})
	return b.String()
}

func fishCompletion(meter *pflag.FlagSet, others []optionSet) string {
	const after = "__fish_seen_subcommand_from "
	var b strings.Builder
	b.WriteString("# fish completion of portwatch\ncomplete -c portwatch -f\n")
	fmt.Fprintf(&b, "complete -c portwatch -n __fish_use_subcommand -a '%s'\n", strings.Join(subcommands, " "))
	for _, command := range subcommands {
		if words := wordsOf[command]; words != nil {
			fmt.Fprintf(&b, "complete -c portwatch -n '%s%s' -a '%s'\n", after, command, strings.Join(words, " "))
		}
	}
	for _, set := range others {
		b.WriteString(fishOptions(set.flags, after+set.command))
	}
	fmt.Fprintf(&b, "complete -c portwatch -n '%sverify diff' -F\n", after)
	b.WriteString(fishOptions(meter, "not "+after+strings.Join(subcommands, " ")))
	return b.String()
}

// fishOptions returns the lines that complete the options of a set under a condition.
func fishOptions(flags *pflag.FlagSet, condition string) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		_, help := pflag.UnquoteUsage(f)
		fmt.Fprintf(&b, "complete -c portwatch -n '%s' -l %s", condition, f.Name)
		if f.Shorthand != "" {
			fmt.Fprintf(&b, " -s %s", f.Shorthand)
		}
		switch kind, words := valueOf(f); kind {
		case fileValue:
			b.WriteString(" -r -F")
		case deviceValue:
			fmt.Fprintf(&b, " -x -a '(%s)'", strings.ReplaceAll(devicesCommand, "'", `\'`))
		case wordValue:
			fmt.Fprintf(&b, " -x -a '%s'", strings.Join(words, " "))
		case anyValue:
			b.WriteString(" -x")
		}
		fmt.Fprintf(&b, " -d '%s'\n", strings.ReplaceAll(help, "'", `\'`))
	})
	return b.String()
}
