package pan123

import (
	"fmt"
	"runtime/debug"
)

// PanicError is what a panic in code of yours becomes: it stands behind the *Error of the call or upload that it ended,
// where errors.As finds it. If the code panicked with an error, that is found too.
type PanicError struct {
	// Value is what was given to panic.
	Value any
	// Stack is that of the goroutine that panicked, as debug.Stack formats it.
	Stack []byte

	where string
}

// Error says who panicked, and with what. It is one line, without the stack.
func (p *PanicError) Error() string { return fmt.Sprintf("%s panicked: %v", p.where, p.Value) }

// Unwrap returns Value if it is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// Panicked keeps a panic as the error that the callback failed with. Called while the stack is still there.
func (f *failures) Panicked(where string, value any) string {
	return f.keep(&PanicError{Value: value, Stack: debug.Stack(), where: where})
}
