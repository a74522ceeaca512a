package main

import (
	"os"

	"golang.org/x/term"
)

// A screen is what portwatch knows about a file that may be a terminal.
type screen struct {
	terminal bool // the file is a terminal
	width    int  // columns; 0: unlimited, as in a pipe
	color    bool
}

func screenOf(f *os.File) screen {
	if !term.IsTerminal(int(f.Fd())) {
		return screen{}
	}
	s := screen{terminal: true, width: 80}
	if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
		s.width = w
	}
	// https://no-color.org: any non-empty value means no colour.
	s.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}
