package nocgo_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"pan123"
)

// child runs this test program again, as TestChild, with another library.
func child(t *testing.T, library string) string {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	command.Env = append(os.Environ(), "PAN123_TEST_CHILD=1", "PAN123_LIBRARY="+library)
	out, _ := command.CombinedOutput()
	return string(out)
}

// TestChild is not a test of its own; child runs it.
func TestChild(t *testing.T) {
	if os.Getenv("PAN123_TEST_CHILD") == "" {
		return
	}
	_, err := pan123.NewClient(pan123.Options{AccessToken: "x"})
	fmt.Println("client:", err)
	_, err = pan123.Hash(t.Context(), pan123.Bytes([]byte("x")), pan123.HashOptions{})
	fmt.Println("hash:", errors.Is(err, pan123.ErrABI))
}

func TestMissingLibrary(t *testing.T) {
	out := child(t, "/no/such/libpan123.so")
	for _, say := range []string{
		"client: pan123: cannot load libpan123: /no/such/libpan123.so: cannot open shared object file",
		"install libpan123 0.1, or set PAN123_LIBRARY to the path of its shared library\n", "hash: true\n",
	} {
		if !strings.Contains(out, say) {
			t.Errorf("without a library it says:\n%s", out)
		}
	}
}

func TestAnotherLibrary(t *testing.T) {
	out := child(t, "libc.so.6")
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
	out := child(t, dir+"/libpan123.so")
	if !strings.Contains(out, "client: pan123: the libpan123 on this machine is version 0.0.9, and this program needs 0.1") ||
		!strings.Contains(out, "hash: true\n") {
		t.Errorf("with an old library it says:\n%s", out)
	}
}
