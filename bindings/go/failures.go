package pan123

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
)

// failures keeps what the callbacks of one object returned, because no more than their words pass through the library,
// which cuts them, cleans them and hides secrets in them. So a number stands before them on the way.
type failures struct {
	mu   sync.Mutex
	kept map[uint64]error
	last []uint64
}

// keptMax is more than can come between a failure and the end of what it fails.
const keptMax = 256

var lastFailure atomic.Uint64

// keep returns what the library is told of err.
func (f *failures) keep(err error) string {
	words := strings.ToValidUTF8(err.Error(), "\uFFFD")
	number := lastFailure.Add(1)
	text := marked(number)
	// Of one that passes on what another object returned, both are known.
	var known *Error
	if errors.As(err, &known) {
		for _, earlier := range known.failures {
			text += marked(earlier)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept == nil {
		f.kept = make(map[uint64]error)
	}
	f.kept[number] = err
	if f.last = append(f.last, number); len(f.last) > keptMax {
		delete(f.kept, f.last[0])
		f.last = f.last[1:]
	}
	return text + strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, words)
}

// explain adds the errors of callbacks to an error of the library that came of them.
func (f *failures) explain(err error) error {
	e, ok := err.(*Error)
	if !ok || f == nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, number := range e.failures {
		if cause := f.kept[number]; cause != nil {
			e.causes = append(e.causes, cause)
		}
	}
	return err
}

// mark is something that nobody else writes.
var mark = func() string {
	random := make([]byte, 4)
	_, _ = rand.Read(random)
	return hex.EncodeToString(random)
}()

var marks = regexp.MustCompile("<" + mark + ` (\d+)> ?`)

func marked(number uint64) string { return fmt.Sprintf("<%s %d> ", mark, number) }

func unmarked(text string) string { return marks.ReplaceAllLiteralString(text, "") }

func marksIn(text string) []uint64 {
	var numbers []uint64
	for _, found := range marks.FindAllStringSubmatch(text, -1) {
		if number, err := strconv.ParseUint(found[1], 10, 64); err == nil {
			numbers = append(numbers, number)
		}
	}
	return numbers
}
