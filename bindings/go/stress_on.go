//go:build pan123_gcstress

package pan123

import "runtime"

// stress collects garbage at the moments when a handle that nobody holds any more would be freed too early.
func stress() { runtime.GC() }
