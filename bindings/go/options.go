package pan123

import (
	"net/http"
	"time"

	"pan123/internal/abi"
)

// Options say how a Client is to be. The zero value of each field is its default; something to get an access token from
// is needed: AccessToken, ClientID with ClientSecret, or Tokens.
type Options struct {
	// BaseURL is the address of the service. Default: https://open-api.123pan.com.
	BaseURL string
	// AccessToken is a ready access token.
	AccessToken string
	// ClientID and ClientSecret are those of a developer account; tokens are made with them as needed.
	ClientID, ClientSecret string
	// RefreshToken is an OAuth2 refresh token, with the ClientID and ClientSecret of an app. It needs TokenCache, which
	// keeps the token that comes in its place each time: it works once.
	RefreshToken string
	// TokenCache is a directory that keeps the token made with ClientID (file mode 0600), shared by all processes that
	// name it. Without it each client logs in anew, and the service allows only three tokens at a time.
	TokenCache string
	// Tokens is a token source of yours.
	Tokens TokenFunc
	// Transport does the HTTP instead of the library, for example http.DefaultTransport. It sends each request once;
	// retries, limits and timeouts stay the library's. Idle connections are yours to close.
	Transport http.RoundTripper
	// StateDir is a directory for what a resume after a crash needs. Without it an upload is resumed by Resume and
	// Import only.
	StateDir string
	// UserAgent is the User-Agent header. Default: pan123/VERSION.
	UserAgent string
	// Proxy for all requests, http://, https:// or socks5://. Default: the environment's. Not for a Transport.
	Proxy string
	// CAFile is a PEM file with certificates to trust besides the system's. Not for a Transport.
	CAFile string
	// SlicesInFlight is how many slices all uploads of the client send at a time, up to 64. 0: as many as the link
	// carries.
	SlicesInFlight int
	// BytesPerSec is the most that bodies may send together. 0: no cap.
	BytesPerSec int64
	// VIPRates are the request rates of a paying account.
	VIPRates bool
	// SourceTimeout is how long one ReadAt may take. Default: 30 seconds.
	SourceTimeout time.Duration
	// ProgressEvery is how often an upload tells its progress, from 10 milliseconds on. Default: 200 milliseconds.
	ProgressEvery time.Duration
	// RetryFor is how long to keep trying when nothing gets through. Default: one minute; negative: not at all. What the
	// service answers with a failure is tried a few times, however long that takes.
	RetryFor time.Duration
	// PlainHTTP lets the access token go over plain http:// to any host, and not only to loopback and the host of BaseURL.
	PlainHTTP bool
}

// set puts the options into the library's.
func (o *Options) set(to *settings) {
	to.text(abi.OPT_BASE_URL, o.BaseURL)
	to.text(abi.OPT_ACCESS_TOKEN, o.AccessToken)
	to.text(abi.OPT_CLIENT_ID, o.ClientID)
	to.text(abi.OPT_CLIENT_SECRET, o.ClientSecret)
	to.text(abi.OPT_REFRESH_TOKEN, o.RefreshToken)
	to.text(abi.OPT_TOKEN_CACHE, o.TokenCache)
	to.text(abi.OPT_STATE_DIR, o.StateDir)
	to.text(abi.OPT_USER_AGENT, o.UserAgent)
	to.text(abi.OPT_PROXY, o.Proxy)
	to.text(abi.OPT_CA_FILE, o.CAFile)
	to.number(abi.OPT_SLICES_IN_FLIGHT, "SlicesInFlight", int64(o.SlicesInFlight))
	to.number(abi.OPT_BYTES_PER_SEC, "BytesPerSec", o.BytesPerSec)
	to.flag(abi.OPT_VIP_RATES, o.VIPRates)
	to.millis(abi.OPT_SOURCE_TIMEOUT_MS, "SourceTimeout", time.Millisecond, o.SourceTimeout)
	to.millis(abi.OPT_PROGRESS_MS, "ProgressEvery", 10*time.Millisecond, o.ProgressEvery)
	to.flag(abi.OPT_PLAIN_HTTP, o.PlainHTTP)
	if o.RetryFor < 0 {
		to.put(abi.OPT_RETRY_FOR_MS, 0)
	} else {
		to.millis(abi.OPT_RETRY_FOR_MS, "RetryFor", time.Millisecond, o.RetryFor)
	}
}

// Duplicate says what happens when the name is taken.
type Duplicate uint64

// What may happen.
const (
	// DuplicateRefuse has the service refuse the upload. The default.
	DuplicateRefuse Duplicate = iota
	// DuplicateKeepBoth keeps both files; the service gives the new one another name.
	DuplicateKeepBoth
	// DuplicateReplace replaces the old file.
	DuplicateReplace
)

// UploadOption is an option of Upload, UploadFile, Start, Import, Create and Single.
type UploadOption func(*settings)

// WithDuplicate says what happens when the name is taken. Not for Import.
func WithDuplicate(d Duplicate) UploadOption {
	return func(to *settings) { to.put(abi.OPT_DUPLICATE, uint64(d)) }
}

// WithFolders makes the name a path from the folder on, for example "2026/film.mkv"; the service makes missing folders.
// Not for Import.
func WithFolders() UploadOption {
	return func(to *settings) { to.flag(abi.OPT_CONTAIN_DIR, true) }
}

// WithResumeKey names a source of your own, so that a later run of the program can resume it from Options.StateDir. Files
// on disk have their path for that. Not for Create and Single.
func WithResumeKey(key string) UploadOption {
	return func(to *settings) { to.text(abi.OPT_RESUME_KEY, key) }
}

// settings is a pan123_options being filled; the first thing that goes wrong is kept.
type settings struct {
	lib library
	p   abi.Ptr
	err error
}

func newSettings(lib library, options []UploadOption) (*settings, error) {
	p, status, e := lib.OptionsNew()
	if status != abi.OK {
		return nil, lib.fail(status, e)
	}
	to := &settings{lib: lib, p: p}
	for _, option := range options {
		if option != nil {
			option(to)
		}
	}
	if to.err != nil {
		to.free()
		return nil, to.err
	}
	return to, nil
}

func (to *settings) free() { to.lib.OptionsFree(to.p) }

func (to *settings) text(option uint32, value string) {
	if to.err == nil && value != "" {
		to.err = to.lib.fail(to.lib.OptionsSetStr(to.p, option, value))
	}
}

func (to *settings) put(option uint32, value uint64) {
	if to.err == nil {
		to.err = to.lib.fail(to.lib.OptionsSetU64(to.p, option, value))
	}
}

func (to *settings) flag(option uint32, value bool) {
	if value {
		to.put(option, 1)
	}
}

func (to *settings) number(option uint32, name string, value int64) {
	if value < 0 && to.err == nil {
		to.err = misuse("Options.%s is %d; it is 0 or more", name, value)
	}
	if value != 0 {
		to.put(option, uint64(value))
	}
}

// timeMax is the longest time that an option may be.
const timeMax = 24 * time.Hour

func (to *settings) millis(option uint32, name string, least, value time.Duration) {
	if value == 0 {
		return
	}
	// Part of a millisecond counts as one.
	value = (value + time.Millisecond - 1).Truncate(time.Millisecond)
	if (value < least || value > timeMax) && to.err == nil {
		to.err = misuse("Options.%s is %v; it is from %v to %v, or 0 for the default", name, value, least, timeMax)
	}
	to.put(option, uint64(value/time.Millisecond))
}
