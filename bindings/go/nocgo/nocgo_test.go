package nocgo_test

import (
	"testing"

	"pan123/internal/scenarios"
	_ "pan123/nocgo"
)

func TestScenarios(t *testing.T) { scenarios.Table(t, "go-nocgo") }

func TestLifecycle(t *testing.T) { scenarios.Lifecycle(t) }

func TestCallbacks(t *testing.T) { scenarios.Callbacks(t) }

func TestCalls(t *testing.T) { scenarios.Calls(t) }
