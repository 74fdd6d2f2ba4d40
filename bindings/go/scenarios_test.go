package pan123_test

import (
	"testing"

	"pan123/internal/scenarios"
)

func TestScenarios(t *testing.T) { scenarios.Table(t, "go") }

func TestLifecycle(t *testing.T) { scenarios.Lifecycle(t) }

func TestCallbacks(t *testing.T) { scenarios.Callbacks(t) }

func TestCalls(t *testing.T) { scenarios.Calls(t) }
