package nocgo_test

import (
	"os"
	"testing"

	"pan123/internal/scenarios"
	_ "pan123/nocgo"
)

func TestScenarios(t *testing.T) { scenarios.Table(t, "go-nocgo") }

func TestLifecycle(t *testing.T) { scenarios.Lifecycle(t) }

func TestCallbacks(t *testing.T) { scenarios.Callbacks(t) }

func TestCalls(t *testing.T) { scenarios.Calls(t) }

func TestExits(t *testing.T) { scenarios.Exits(t) }

func TestMain(m *testing.M) {
	scenarios.Exiting()
	os.Exit(m.Run())
}
