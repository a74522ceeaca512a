package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// columns are the captures, in the order of the tables' columns.
var columns = []string{"mix", "small", "flows"}

// printMachine prints where and when the figures were measured.
func printMachine(runs int) {
	fmt.Printf("%s, %d x %s, Linux %s, %s, load %s at the end; pairs of runs for each figure: %d.\n\n", time.Now().Format(time.DateOnly),
		runtime.NumCPU(), processor(), firstField("/proc/sys/kernel/osrelease"), runtime.Version(), firstField("/proc/loadavg"), runs)
}

func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// firstField returns the first word of a file, empty if there is none.
func firstField(name string) string {
	text, _ := os.ReadFile(name)
	word, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte(" "))
	return string(word)
}

func printHead(title string) {
	fmt.Printf("| %s | %s |\n|---|%s\n", title, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
}

// printRatios prints a row for each contest.
func printRatios(results []result) {
	printHead("wall (range); CPU")
	var row []string
	for i, r := range results {
		if i == 0 || r.contest != results[i-1].contest {
			row = make([]string, len(columns))
		}
		row[slices.Index(columns, r.capture)] = r.String()
		if i == len(results)-1 || r.contest != results[i+1].contest {
			fmt.Printf("| %s | %s |\n", r.contest, strings.Join(row, " | "))
		}
	}
	fmt.Println()
}

func (r result) String() string {
	if len(r.wall) == 1 {
		return number(r.wall[0]) + "; " + number(r.cpu[0])
	}
	return fmt.Sprintf("%s (%s-%s); %s", number(median(r.wall)), number(slices.Min(r.wall)), number(slices.Max(r.wall)), number(median(r.cpu)))
}

// number formats a ratio with about two significant digits.
func number(v float64) string {
	switch {
	case v < 2:
		return fmt.Sprintf("%.2f", v)
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// printTimes prints what a packet cost each command.
func printTimes(t times) {
	printHead("ns a packet, wall / CPU / MiB")
	for _, name := range t.rows {
		fmt.Printf("| %s |", name)
		for _, c := range columns {
			if f := t.figures[[2]string{name, c}]; f != nil {
				fmt.Printf(" %.0f / %.0f / %.0f |", medianOf(f, func(f figure) float64 { return f.wall }),
					medianOf(f, func(f figure) float64 { return f.cpu }), medianOf(f, func(f figure) float64 { return f.peak }))
			} else {
				fmt.Print(" |")
			}
		}
		fmt.Println()
	}
}

func medianOf(all []figure, of func(figure) float64) float64 {
	var values []float64
	for _, f := range all {
		values = append(values, of(f))
	}
	return median(values)
}

// median returns the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
