//go:build !linux

package scenarios

import "testing"

func signalHandlers(t *testing.T) { t.Skip("sigaction is read on Linux only") }
