package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cheggaaa/pb/v3"

	"github.com/portwatch/portwatch/capture"
)

// progress is the line on a terminal that shows how far the reading of savefiles
// has come. A nil *progress shows nothing.
type progress struct {
	bar  *pb.ProgressBar
	next time.Time
	tty  *os.File

	lock  sync.Mutex // of the terminal
	drawn bool       // the line is on the terminal
}

const progressEvery = 200 * time.Millisecond

// progressLine has what matters most on the left: the right end is cut off if it does not fit.
const progressLine = `{{counters . }} {{bar . "[" "=" ">" " " "]"}} {{percent . }}  {{rtime . "%s left" "" "?"}}  {{string . "packets"}}  {{string . "flows"}}`

// newProgress returns the progress line for some savefiles, or nil if there are
// none, the size of one is unknown, or the terminal cannot erase a line.
func newProgress(tty *os.File, files []*capture.File) *progress {
	if os.Getenv("TERM") == "dumb" {
		return nil
	}
	var size int64
	for _, f := range files {
		_, n := f.Progress()
		if n < 0 {
			return nil
		}
		size += n
	}
	if size == 0 {
		return nil
	}
	bar := pb.New64(size).SetTemplateString(progressLine).SetWriter(tty)
	// Static: it draws only when told to, so that it never draws into a record.
	bar.Set(pb.Static, true).Set(pb.Bytes, true).Start()
	return &progress{bar: bar, tty: tty, next: time.Now().Add(progressEvery)}
}

// show draws the line if it was last drawn long enough ago.
func (p *progress) show(position int64, packets, flows, findings uint64) {
	if p == nil {
		return
	}
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(progressEvery)
	rate := float64(packets) / now.Sub(p.bar.StartTime()).Seconds()
	p.bar.SetCurrent(position)
	p.bar.Set("packets", fmt.Sprintf("%.0f packets/s", rate))
	p.bar.Set("flows", fmt.Sprintf("%d flows, %d findings", flows, findings))
	p.bar.SetWidth(screenOf(p.tty).width) // it may have changed
	p.lock.Lock()
	defer p.lock.Unlock()
	p.bar.Write()
	p.drawn = true
}

// hide erases the line, so that something else can be written to the terminal
// until unhide.
func (p *progress) hide() {
	if p != nil {
		p.lock.Lock()
		if p.drawn {
			p.tty.WriteString("\r\x1b[K")
			p.drawn = false
		}
	}
}

func (p *progress) unhide() {
	if p != nil {
		p.lock.Unlock()
	}
}
