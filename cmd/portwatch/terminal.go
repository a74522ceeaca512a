package main

import (
	"os"

	"golang.org/x/term"
)

// A screen is what portwatch knows of the terminal that a file is, if it is one.
type screen struct {
	terminal bool // there is one
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
	// https://no-color.org: any value that is not empty means no colour.
	s.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}
