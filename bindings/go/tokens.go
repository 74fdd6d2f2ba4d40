package pan123

import (
	"context"
	"errors"
	"net"
	"time"

	"pan123/internal/abi"
)

// Token is an access token.
type Token struct {
	// Value is the token itself. Write it to no log.
	Value string
	// Expires is when it ends; zero if that is not known. Of one that a TokenFunc returns it is for Client.Token to tell, and
	// the token is sent whatever it says: the service decides.
	Expires time.Time
}

// TokenFunc is a token source of yours. It is called for every request, one call at a time per client, so keep what you
// have. refused is the token that the service has just turned down, or empty: return another one then, preferably one
// that somebody else has fetched meanwhile, because only three tokens of a client id live at a time. ctx is done when the
// client is closed.
//
// An error of it ends the call or the upload with ErrLogin, or ErrNetwork if it is a net.Error; wrap a Code to choose
// another. It is found again by errors.Is and errors.As.
type TokenFunc func(ctx context.Context, refused string) (Token, error)

// tokenHost is a TokenFunc as the library sees it.
type tokenHost struct {
	ctx context.Context
	get TokenFunc
	failures
}

func (h *tokenHost) Get(refused string) (string, int64, int32, string) {
	token, err := h.get(h.ctx, refused)
	if err != nil {
		return "", 0, int32(codeOfCallback(err, ErrLogin)), h.keep(err)
	}
	var expires int64
	if !token.Expires.IsZero() {
		expires = token.Expires.UnixMilli()
	}
	return token.Value, expires, abi.OK, ""
}

// codeOfCallback is the code that an error of a callback stands for.
func codeOfCallback(err error, otherwise Code) Code {
	var code Code
	if errors.As(err, &code) {
		return code
	}
	var known *Error
	if errors.As(err, &known) {
		return known.Code
	}
	var network net.Error
	if errors.As(err, &network) {
		if network.Timeout() {
			return ErrNetTimeout
		}
		return ErrNetwork
	}
	return otherwise
}
