package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// subcommands are the words that the first argument alone can be.
var subcommands = []string{"lookup", "registry", "template", "completion"}

const completionUsage = `Usage: portwatch completion bash | zsh | fish

Prints a script that completes portwatch's command line. To load it:

  bash   portwatch completion bash > /etc/bash_completion.d/portwatch
  zsh    portwatch completion zsh > "${fpath[1]}/_portwatch"
  fish   portwatch completion fish > ~/.config/fish/completions/portwatch.fish
`

// completionCommand prints the script for one shell. The scripts are made from
// the options themselves, so that a new one is completed without more ado.
func completionCommand(args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 {
		f := new(options).flags()
		switch args[0] {
		case "bash":
			return write(stdout, stderr, bashCompletion(f))
		case "zsh":
			return write(stdout, stderr, zshCompletion(f))
		case "fish":
			return write(stdout, stderr, fishCompletion(f))
		case "-h", "--help":
			return write(stdout, stderr, completionUsage)
		}
	}
	report(stderr, usageError{"completion wants one shell: bash, zsh or fish", "portwatch completion bash"})
	return exitUsage
}

func write(stdout, stderr io.Writer, text string) int {
	if _, err := io.WriteString(stdout, text); err != nil && !isClosedPipe(err) {
		report(stderr, fmt.Errorf("write to standard output: %w", err))
		return exitFailed
	}
	return exitDone
}

// What a shell should offer as the value of an option.
type valueKind int

const (
	noValue valueKind = iota
	anyValue
	fileValue
	deviceValue
	formatValue
	tunnelValue
)

func valueOf(f *pflag.Flag) valueKind {
	switch f.Name {
	case "read", "write", "filter-file", "registry", "stats", "to", "spool", "dead-letter":
		return fileValue
	case "interface":
		return deviceValue
	case "output":
		return formatValue
	case "tunnels":
		return tunnelValue
	}
	if f.NoOptDefVal != "" {
		return noValue
	}
	return anyValue
}

func formatWords() string { return strings.Join(formats, " ") + " none" }

// devicesCommand prints one device name a line: -D without its other columns.
const devicesCommand = `portwatch -D 2>/dev/null | awk '{print $2}'`

func bashCompletion(flags *pflag.FlagSet) string {
	var all []string
	byKind := map[valueKind][]string{}
	flags.VisitAll(func(f *pflag.Flag) {
		names := []string{"--" + f.Name}
		if f.Shorthand != "" {
			names = append(names, "-"+f.Shorthand)
		}
		all = append(all, names...)
		byKind[valueOf(f)] = append(byKind[valueOf(f)], names...)
	})
	pattern := func(k valueKind) string { return strings.Join(byKind[k], "|") }
	return fmt.Sprintf(`# bash completion of portwatch
_portwatch() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	COMPREPLY=()
	case $prev in
	%s) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	%s) COMPREPLY=($(compgen -W "$(%s)" -- "$cur")); return ;;
	%s) COMPREPLY=($(compgen -W "%s" -- "$cur")); return ;;
	%s) COMPREPLY=($(compgen -W "%s" -- "$cur")); return ;;
	%s) return ;;
	registry) COMPREPLY=($(compgen -W "info search export diff update verify" -- "$cur")); return ;;
	template) COMPREPLY=($(compgen -W "%s" -- "$cur")); return ;;
	completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur")); return ;;
	esac
	case $cur in
	-*) COMPREPLY=($(compgen -W "%s" -- "$cur")) ;;
	*) [ "$COMP_CWORD" -eq 1 ] && COMPREPLY=($(compgen -W "%s" -- "$cur")) ;;
	esac
}
complete -F _portwatch portwatch
`, pattern(fileValue), pattern(deviceValue), devicesCommand, pattern(formatValue), formatWords(),
		pattern(tunnelValue), strings.Join(tunnelWords, " "),
		pattern(anyValue), strings.Join(templateNames(), " "), strings.Join(all, " "), strings.Join(subcommands, " "))
}

func zshCompletion(flags *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString("#compdef portwatch\n# zsh completion of portwatch\n")
	fmt.Fprintf(&b, "_portwatch_devices() { local -a d; d=(${(f)\"$(%s)\"}); compadd -a d }\n", devicesCommand)
	b.WriteString("_arguments -s -S \\\n")
	flags.VisitAll(func(f *pflag.Flag) {
		what, help := pflag.UnquoteUsage(f)
		var value string
		switch valueOf(f) {
		case fileValue:
			value = ":file:_files"
		case deviceValue:
			value = ":device:_portwatch_devices"
		case formatValue:
			value = ":format:(" + formatWords() + ")"
		case tunnelValue:
			value = ":levels:(" + strings.Join(tunnelWords, " ") + ")"
		case anyValue:
			value = ":" + what + ": "
		}
		help = strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`).Replace(help)
		if f.Shorthand != "" {
			fmt.Fprintf(&b, "  '*-%s[%s]%s' \\\n", f.Shorthand, help, value)
		}
		fmt.Fprintf(&b, "  '*--%s[%s]%s' \\\n", f.Name, help, value)
	})
	fmt.Fprintf(&b, "  '1::command:(%s)' \\\n  '*:: : '\n", strings.Join(subcommands, " "))
	return b.String()
}

func fishCompletion(flags *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString("# fish completion of portwatch\ncomplete -c portwatch -f\n")
	fmt.Fprintf(&b, "complete -c portwatch -n __fish_use_subcommand -a '%s'\n", strings.Join(subcommands, " "))
	b.WriteString("complete -c portwatch -n '__fish_seen_subcommand_from registry' -a 'info search export diff update verify'\n")
	fmt.Fprintf(&b, "complete -c portwatch -n '__fish_seen_subcommand_from template' -a '%s'\n", strings.Join(templateNames(), " "))
	b.WriteString("complete -c portwatch -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n")
	flags.VisitAll(func(f *pflag.Flag) {
		_, help := pflag.UnquoteUsage(f)
		fmt.Fprintf(&b, "complete -c portwatch -l %s", f.Name)
		if f.Shorthand != "" {
			fmt.Fprintf(&b, " -s %s", f.Shorthand)
		}
		switch valueOf(f) {
		case fileValue:
			b.WriteString(" -r -F")
		case deviceValue:
			fmt.Fprintf(&b, " -x -a '(%s)'", strings.ReplaceAll(devicesCommand, "'", `\'`))
		case formatValue:
			fmt.Fprintf(&b, " -x -a '%s'", formatWords())
		case tunnelValue:
			fmt.Fprintf(&b, " -x -a '%s'", strings.Join(tunnelWords, " "))
		case anyValue:
			b.WriteString(" -x")
		}
		fmt.Fprintf(&b, " -d '%s'\n", strings.ReplaceAll(help, "'", `\'`))
	})
	return b.String()
}
