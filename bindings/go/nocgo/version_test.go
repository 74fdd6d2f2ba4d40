package nocgo_test

import (
	"os/exec"
	"strings"
	"testing"

	"pan123/internal/scenarios"
)

// TestChild is not a test of its own; AnotherLibrary runs it.
func TestChild(t *testing.T) { scenarios.WithAnotherLibrary(t) }

func TestMissingLibrary(t *testing.T) {
	out := scenarios.AnotherLibrary(t, "PAN123_LIBRARY=/no/such/libpan123.so")
	for _, say := range []string{
		"client: pan123: cannot load libpan123: /no/such/libpan123.so: cannot open shared object file",
		"install libpan123 0.1, or set PAN123_LIBRARY to the path of its shared library\n", "ErrABI: true\n",
	} {
		if !strings.Contains(out, say) {
			t.Errorf("without a library it says:\n%s", out)
		}
	}
}

func TestAnotherLibrary(t *testing.T) {
	out := scenarios.AnotherLibrary(t, "PAN123_LIBRARY=libc.so.6")
	if !strings.Contains(out, "libc.so.6 is no libpan123 0.1, or is too old: it has no pan123_abi_check") {
		t.Errorf("with another library it says:\n%s", out)
	}
}

// TestOldLibrary needs a C compiler, which this module does not need for anything else.
func TestOldLibrary(t *testing.T) {
	dir := t.TempDir()
	cc := exec.Command("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", dir+"/libpan123.so")
	cc.Stdin = strings.NewReader(`const char *pan123_version(void) { return "0.0.9"; }
		int pan123_abi_check(unsigned v) { return v == 0x00010000u ? 2 : 0; }`)
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out := scenarios.AnotherLibrary(t, "PAN123_LIBRARY="+dir+"/libpan123.so")
	if !strings.Contains(out, "client: pan123: the libpan123 on this machine is version 0.0.9, and this program needs 0.1") ||
		!strings.Contains(out, "ErrABI: true\n") {
		t.Errorf("with an old library it says:\n%s", out)
	}
}
