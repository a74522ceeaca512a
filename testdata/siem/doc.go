// Package siem tests, with the tag siem, that records arrive: it runs the built command
// as users type it against real receivers on loopback (package receiver), through
// crashes, full disks and cut connections. make test-siem runs the tests, make soak their
// long form.
package siem
