package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// completed maps the beginning of a command line to its last word as a shell completes it,
// or as it was typed if nothing begins that way.
var completed = [][2]string{
	{"portwatch regis", "registry"},
	{"portwatch registry exp", "export"},
	{"portwatch template click", "clickhouse"},
	{"portwatch --snap", "--snapshot-length"},
	{"portwatch -o oc", "ocsf"},
	{"portwatch --from-f", "--from-f"},
	{"portwatch annotate --from-f", "--from-format"},
	{"portwatch annotate --from-format ze", "zeek"},
	{"portwatch annotate --work", "--workers"},
	{"portwatch annotate --snap", "--snap"},
	{"portwatch lookup --js", "--json"},
	{"portwatch lookup --snap", "--snap"},
	{"portwatch registry export -o ts", "tsv"},
	{"portwatch registry search --off", "--offline"},
	{"portwatch registry update --forc", "--force"},
	{"portwatch registry update --filter", "--filter"},
	{"portwatch --output=oc", "--output=ocsf"},
	{"portwatch annotate --from-format=ze", "--from-format=zeek"},
}

// completers load the script $1 into a shell without other settings and complete each of
// the other arguments. They print a line for each: its last word.
var completers = map[string][]string{
	"bash": {"bash", "--norc", "-c", `
source "$1"; shift
for line; do
	read -ra COMP_WORDS <<<"${line/=/ = }" # as readline makes words
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	word=${line##* } before=
	[[ $word == *=* ]] && before=${word%%=*}=
	_portwatch
	echo "$before${COMPREPLY[*]:-${COMP_WORDS[COMP_CWORD]}}"
done`, "bash"},
	"fish": {"fish", "--no-config", "-c", `
source $argv[1]
for line in $argv[2..-1]
	set -l found (complete -C $line | string split -f 1 \t)
	set -q found[1]; and echo $found; or string split -r -m 1 -f 2 ' ' $line
end`},
	// zsh completes only what is typed, so it gets a terminal of its own, which its line editor
	// must have before the first key comes. ^G, with which no other key begins, shows the line.
	"zsh": {"zsh", "-f", "-c", `
export ZDOTDIR=${1:h}
cat >$ZDOTDIR/.zshrc <<-'end'
	PS1= fpath=($ZDOTDIR $fpath)
	autoload -Uz compinit
	compinit -u -D
	setopt nobeep
	show() { print -r -- "<$BUFFER>"; BUFFER= }
	zle-line-init() { print ready }
	zle -N show
	zle -N zle-line-init
	bindkey '^G' show
end
zmodload zsh/zpty
zpty typist zsh -d -i
zpty -r typist out '*ready*'
shift
for line; do
	zpty -w -n typist "$line"$'\t\C-g'
	zpty -r typist out '*<*>*'
	out=${${out##*<}%%>*}
	print -r -- ${${=out}[-1]}
done
zpty -d typist`, "zsh"},
}

// TestCompletion has real shells complete the command's words.
func TestCompletion(t *testing.T) {
	for shell, completer := range completers {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("NOT TESTED: %v", err)
			}
			var text, errs strings.Builder
			if status := completionCommand([]string{shell}, &text, &errs); status != exitDone {
				t.Fatalf("status %d: %s", status, &errs)
			}
			script := filepath.Join(t.TempDir(), "_portwatch")
			if err := os.WriteFile(script, []byte(text.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			args := append(completer[1:len(completer):len(completer)], script)
			for _, c := range completed {
				args = append(args, c[0])
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a shell may wait forever
			defer cancel()
			c := exec.CommandContext(ctx, completer[0], args...)
			c.WaitDelay = time.Second
			out, err := c.CombinedOutput()
			words := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
			if err != nil || len(words) != len(completed) {
				t.Fatalf("%v, %d answers of %d:\n%s", err, len(words), len(completed), out)
			}
			for i, c := range completed {
				// zsh ends an option with a = that a space removes again.
				got := strings.TrimSuffix(strings.TrimSpace(words[i]), "=")
				if got != c[1] {
					t.Errorf("%s: %q, want %q", c[0], got, c[1])
				}
			}
		})
	}
}

// TestBashFileNames has bash complete the name of a file with a space in it. The words of
// COMPREPLY are whole names: none leaves them to bash, which knows how to quote.
func TestBashFileNames(t *testing.T) {
	var text, errs strings.Builder
	if status := completionCommand([]string{"bash"}, &text, &errs); status != exitDone {
		t.Fatalf("status %d: %s", status, &errs)
	}
	c := exec.Command("bash", "--norc", "-c", text.String()+`
touch "my capture.pcap"
COMP_WORDS=(portwatch -r my) COMP_CWORD=2
compopt() { :; } # works in a real completion alone
_portwatch
echo "${#COMPREPLY[@]} $(complete -p portwatch)"`)
	c.Dir = t.TempDir()
	out, err := c.CombinedOutput()
	if want := "0 complete -o default -F _portwatch portwatch\n"; err != nil || string(out) != want {
		t.Errorf("%v: %q, want %q", err, out, want)
	}
}
