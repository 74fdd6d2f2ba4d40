package pan123_test

import (
	"fmt"
	"os"
	"testing"

	"pan123/internal/emulator"
	"pan123/internal/scenarios"
)

func TestScenarios(t *testing.T) { scenarios.Table(t, "go") }

func TestLifecycle(t *testing.T) { scenarios.Lifecycle(t) }

func TestCallbacks(t *testing.T) { scenarios.Callbacks(t) }

func TestCalls(t *testing.T) { scenarios.Calls(t) }

func TestExits(t *testing.T) { scenarios.Exits(t) }

func TestMain(m *testing.M) {
	scenarios.Exiting()
	os.Exit(run(m))
}

// run runs the tests with an emulator for the examples, which have no test to start one.
func run(m *testing.M) int {
	if os.Getenv("PAN123_TEST_CHILD") != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "pan123")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	server, stop, err := emulator.Launch(dir, "")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop()
	os.Setenv("PAN123_BASE_URL", server.URL)
	os.Setenv("PAN123_ACCESS_TOKEN", emulator.Token)
	return m.Run()
}
