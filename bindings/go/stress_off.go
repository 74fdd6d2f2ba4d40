//go:build !pan123_gcstress

package pan123

func stress() {}
