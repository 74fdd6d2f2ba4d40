package pan123_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pan123/internal/scenarios"
)

// oldLibrary is C for a libpan123 that has every function, and says that it does not fit.
func oldLibrary(t *testing.T) (dir string) {
	t.Helper()
	header, err := os.ReadFile(filepath.Join(scenarios.Variable(t, "PAN123_INCLUDE_DIR"), "pan123.h"))
	if err != nil {
		t.Fatal(err)
	}
	code := "const char *pan123_version(void) { return \"0.0.9\"; }\nint pan123_abi_check(unsigned v) { (void)v; return 2; }\n"
	seen := map[string]bool{"pan123_version": true, "pan123_abi_check": true}
	for _, word := range strings.FieldsFunc(string(header), func(r rune) bool { return !strings.ContainsRune(nameLetters, r) }) {
		if strings.HasPrefix(word, "pan123_") && !seen[word] && strings.Contains(string(header), word+"(") {
			seen[word] = true
			code += fmt.Sprintf("void *%s(void) { return 0; }\n", word)
		}
	}
	dir = t.TempDir()
	source := filepath.Join(dir, "old.c")
	if err := os.WriteFile(source, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	// As a released library has it; the loader ends a program that was linked with one and finds none.
	versions := filepath.Join(dir, "versions")
	if err := os.WriteFile(versions, []byte("PAN123_0_1 { global: pan123_*; local: *; };\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cc := exec.Command("cc", "-shared", "-fPIC", "-Wl,-soname,libpan123.so.0.1", "-Wl,--version-script="+versions,
		"-o", filepath.Join(dir, "libpan123.so.0.1"), source)
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

const nameLetters = "abcdefghijklmnopqrstuvwxyz0123456789_"

// TestChild is not a test of its own; AnotherLibrary runs it.
func TestChild(t *testing.T) { scenarios.WithAnotherLibrary(t) }

func TestOldLibrary(t *testing.T) {
	out := scenarios.AnotherLibrary(t, "LD_LIBRARY_PATH="+oldLibrary(t))
	const say = "pan123: the libpan123 on this machine is version 0.0.9, and this program needs 0.1 with 0 additions or more: " +
		"install that version of libpan123\n"
	for _, line := range []string{"client: " + say, "hash: " + say, "ErrABI: true\n", "version: " + say} {
		if !strings.Contains(out, line) {
			t.Errorf("with an old library it says:\n%s", out)
		}
	}
}

func TestMissingLibrary(t *testing.T) {
	// The system's own loader says it, and names what is missing.
	out := scenarios.AnotherLibrary(t, "LD_LIBRARY_PATH="+t.TempDir())
	if !strings.Contains(out, "libpan123.so.0.1: cannot open shared object file") {
		t.Errorf("without a library it says:\n%s", out)
	}
}
