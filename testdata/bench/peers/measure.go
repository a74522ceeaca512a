package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A figure is what a run cost.
type figure struct {
	wall, cpu float64 // seconds; of all processes, in user and system mode
	peak      float64 // MiB resident, of the largest process
}

// measure runs a line of shell. Its output goes to a file, whose last line is quoted in the error
// if the run fails.
func measure(ctx context.Context, line, messages string, limit time.Duration) (figure, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	file, err := os.Create(messages)
	if err != nil {
		return figure{}, err
	}
	defer file.Close()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that what the shell starts ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	start := time.Now()
	err = cmd.Run()
	wall := time.Since(start)
	if err != nil {
		return figure{}, fmt.Errorf("%w after %.1f s: %s", err, wall.Seconds(), lastLine(messages))
	}
	used := cmd.ProcessState
	f := figure{wall: wall.Seconds(), cpu: (used.UserTime() + used.SystemTime()).Seconds()}
	if r, ok := used.SysUsage().(*syscall.Rusage); ok {
		f.peak = float64(r.Maxrss) / 1024 // Linux counts in KiB
	}
	return f, nil
}

func lastLine(name string) []byte {
	all, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	all = bytes.TrimSpace(all)
	return all[bytes.LastIndexByte(all, '\n')+1:]
}
