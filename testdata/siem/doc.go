// Package siem tests, with the tag siem, that records arrive: the built command
// as users type it, against real receivers on loopback (package receiver), through
// crashes, full disks and cut connections. make test-siem runs it, make soak its
// long form.
package siem
