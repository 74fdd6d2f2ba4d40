// Package abi is what the two ways to reach libpan123, cgo and purego, have in common: the numbers of its interface, the
// calls, and the Go side of its callbacks.
package abi

// The numbers of pan123.h, under its names. A test compares them with what the library lists.
const (
	OK                    = 0
	E_INVALID_ARGUMENT    = 1
	E_ABI                 = 2
	E_UNKNOWN_NUMBER      = 3
	E_WRONG_STATE         = 4
	E_WOULD_DEADLOCK      = 5
	E_FORKED              = 6
	E_NOT_SUPPORTED       = 7
	E_TIMEOUT             = 8
	E_CANCELLED           = 20
	E_PAUSED              = 21
	E_SHUTDOWN            = 22
	E_CALLBACK            = 30
	E_PLUGIN              = 31
	E_SOURCE_IO           = 100
	E_SOURCE_CHANGED      = 101
	E_SOURCE_STALLED      = 102
	E_STORE               = 110
	E_NETWORK             = 200
	E_TLS                 = 201
	E_NET_TIMEOUT         = 202
	E_SLOW_UPLINK         = 203
	E_SERVER              = 300
	E_PROTOCOL            = 301
	E_LOGIN               = 400
	E_RATE_LIMITED        = 401
	E_NAME                = 402
	E_VERIFY_FAILED       = 403
	E_REFUSED             = 404
	E_INTERNAL            = 900
	E_PANIC               = 901
	OPT_BASE_URL          = 1001
	OPT_USER_AGENT        = 1002
	OPT_ACCESS_TOKEN      = 1003
	OPT_CLIENT_ID         = 1004
	OPT_CLIENT_SECRET     = 1005
	OPT_TOKEN_CACHE       = 1006
	OPT_STATE_DIR         = 1007
	OPT_PROXY             = 1008
	OPT_CA_FILE           = 1009
	OPT_RESUME_KEY        = 1010
	OPT_REFRESH_TOKEN     = 1011
	OPT_SLICES_IN_FLIGHT  = 2001
	OPT_BYTES_PER_SEC     = 2003
	OPT_VIP_RATES         = 2004
	OPT_SOURCE_TIMEOUT_MS = 2005
	OPT_DUPLICATE         = 2006
	OPT_CONTAIN_DIR       = 2007
	OPT_PROGRESS_MS       = 2008
	OPT_RETRY_FOR_MS      = 2009
	OPT_PLAIN_HTTP        = 2010
	F_JSON                = 1001
	F_MESSAGE             = 1002
	F_STEP                = 1003
	F_API_MESSAGE         = 1004
	F_TRACE_ID            = 1005
	F_ADVICE              = 1006
	F_CLASS               = 1007
	F_ETAG                = 1010
	F_SHA1                = 1011
	F_SLICE_MD5           = 1012
	F_PREUPLOAD_ID        = 1013
	F_SERVER              = 1014
	F_TOKEN               = 1015
	F_STATE               = 1016
	F_METHOD              = 1020
	F_URL                 = 1021
	F_ANSWER_BODY         = 1022
	F_HTTP_STATUS         = 2001
	F_API_CODE            = 2002
	F_RETRY_AFTER_MS      = 2003
	F_RETRYABLE           = 2004
	F_ATTEMPTS            = 2005
	F_SLICE_NO            = 2006
	F_RESUMABLE           = 2007
	F_CODE                = 2008
	F_FILE_ID             = 2010
	F_REUSED              = 2011
	F_COMPLETED           = 2012
	F_SIZE                = 2013
	F_SLICE_SIZE          = 2014
	F_SLICE_COUNT         = 2015
	F_SERVER_COUNT        = 2016
	F_EXPIRES_UNIX_MS     = 2017
	F_BYTES_SENT          = 2018
	F_ELAPSED_MS          = 2019
	F_BODY_LEN            = 2020
	F_TIMEOUT_MS          = 2021
	EV_STATE              = 1
	EV_PROGRESS           = 2
	EV_SLICE              = 3
	EV_RETRY              = 4
	EV_LOG                = 5
	EV_COMPLETED          = 16
	EV_FAILED             = 17
	EV_CANCELLED          = 18
	EV_PAUSED             = 19
	STAGE_NEW             = 0
	STAGE_HASHING         = 1
	STAGE_CREATING        = 2
	STAGE_SENDING         = 3
	STAGE_COMPLETING      = 4
	STAGE_DONE            = 5
	VT_SERIAL             = 1
	HASH_SHA1             = 1
	ABI_VERSION           = 0x00010000
)

// Numbers lists them by the names that the library has for them.
var Numbers = map[string]int64{
	"PAN123_OK":                    OK,
	"PAN123_E_INVALID_ARGUMENT":    E_INVALID_ARGUMENT,
	"PAN123_E_ABI":                 E_ABI,
	"PAN123_E_UNKNOWN_NUMBER":      E_UNKNOWN_NUMBER,
	"PAN123_E_WRONG_STATE":         E_WRONG_STATE,
	"PAN123_E_WOULD_DEADLOCK":      E_WOULD_DEADLOCK,
	"PAN123_E_FORKED":              E_FORKED,
	"PAN123_E_NOT_SUPPORTED":       E_NOT_SUPPORTED,
	"PAN123_E_TIMEOUT":             E_TIMEOUT,
	"PAN123_E_CANCELLED":           E_CANCELLED,
	"PAN123_E_PAUSED":              E_PAUSED,
	"PAN123_E_SHUTDOWN":            E_SHUTDOWN,
	"PAN123_E_CALLBACK":            E_CALLBACK,
	"PAN123_E_PLUGIN":              E_PLUGIN,
	"PAN123_E_SOURCE_IO":           E_SOURCE_IO,
	"PAN123_E_SOURCE_CHANGED":      E_SOURCE_CHANGED,
	"PAN123_E_SOURCE_STALLED":      E_SOURCE_STALLED,
	"PAN123_E_STORE":               E_STORE,
	"PAN123_E_NETWORK":             E_NETWORK,
	"PAN123_E_TLS":                 E_TLS,
	"PAN123_E_NET_TIMEOUT":         E_NET_TIMEOUT,
	"PAN123_E_SLOW_UPLINK":         E_SLOW_UPLINK,
	"PAN123_E_SERVER":              E_SERVER,
	"PAN123_E_PROTOCOL":            E_PROTOCOL,
	"PAN123_E_LOGIN":               E_LOGIN,
	"PAN123_E_RATE_LIMITED":        E_RATE_LIMITED,
	"PAN123_E_NAME":                E_NAME,
	"PAN123_E_VERIFY_FAILED":       E_VERIFY_FAILED,
	"PAN123_E_REFUSED":             E_REFUSED,
	"PAN123_E_INTERNAL":            E_INTERNAL,
	"PAN123_E_PANIC":               E_PANIC,
	"PAN123_OPT_BASE_URL":          OPT_BASE_URL,
	"PAN123_OPT_USER_AGENT":        OPT_USER_AGENT,
	"PAN123_OPT_ACCESS_TOKEN":      OPT_ACCESS_TOKEN,
	"PAN123_OPT_CLIENT_ID":         OPT_CLIENT_ID,
	"PAN123_OPT_CLIENT_SECRET":     OPT_CLIENT_SECRET,
	"PAN123_OPT_TOKEN_CACHE":       OPT_TOKEN_CACHE,
	"PAN123_OPT_STATE_DIR":         OPT_STATE_DIR,
	"PAN123_OPT_PROXY":             OPT_PROXY,
	"PAN123_OPT_CA_FILE":           OPT_CA_FILE,
	"PAN123_OPT_RESUME_KEY":        OPT_RESUME_KEY,
	"PAN123_OPT_REFRESH_TOKEN":     OPT_REFRESH_TOKEN,
	"PAN123_OPT_SLICES_IN_FLIGHT":  OPT_SLICES_IN_FLIGHT,
	"PAN123_OPT_BYTES_PER_SEC":     OPT_BYTES_PER_SEC,
	"PAN123_OPT_VIP_RATES":         OPT_VIP_RATES,
	"PAN123_OPT_SOURCE_TIMEOUT_MS": OPT_SOURCE_TIMEOUT_MS,
	"PAN123_OPT_DUPLICATE":         OPT_DUPLICATE,
	"PAN123_OPT_CONTAIN_DIR":       OPT_CONTAIN_DIR,
	"PAN123_OPT_PROGRESS_MS":       OPT_PROGRESS_MS,
	"PAN123_OPT_RETRY_FOR_MS":      OPT_RETRY_FOR_MS,
	"PAN123_OPT_PLAIN_HTTP":        OPT_PLAIN_HTTP,
	"PAN123_F_JSON":                F_JSON,
	"PAN123_F_MESSAGE":             F_MESSAGE,
	"PAN123_F_STEP":                F_STEP,
	"PAN123_F_API_MESSAGE":         F_API_MESSAGE,
	"PAN123_F_TRACE_ID":            F_TRACE_ID,
	"PAN123_F_ADVICE":              F_ADVICE,
	"PAN123_F_CLASS":               F_CLASS,
	"PAN123_F_ETAG":                F_ETAG,
	"PAN123_F_SHA1":                F_SHA1,
	"PAN123_F_SLICE_MD5":           F_SLICE_MD5,
	"PAN123_F_PREUPLOAD_ID":        F_PREUPLOAD_ID,
	"PAN123_F_SERVER":              F_SERVER,
	"PAN123_F_TOKEN":               F_TOKEN,
	"PAN123_F_STATE":               F_STATE,
	"PAN123_F_METHOD":              F_METHOD,
	"PAN123_F_URL":                 F_URL,
	"PAN123_F_ANSWER_BODY":         F_ANSWER_BODY,
	"PAN123_F_HTTP_STATUS":         F_HTTP_STATUS,
	"PAN123_F_API_CODE":            F_API_CODE,
	"PAN123_F_RETRY_AFTER_MS":      F_RETRY_AFTER_MS,
	"PAN123_F_RETRYABLE":           F_RETRYABLE,
	"PAN123_F_ATTEMPTS":            F_ATTEMPTS,
	"PAN123_F_SLICE_NO":            F_SLICE_NO,
	"PAN123_F_RESUMABLE":           F_RESUMABLE,
	"PAN123_F_CODE":                F_CODE,
	"PAN123_F_FILE_ID":             F_FILE_ID,
	"PAN123_F_REUSED":              F_REUSED,
	"PAN123_F_COMPLETED":           F_COMPLETED,
	"PAN123_F_SIZE":                F_SIZE,
	"PAN123_F_SLICE_SIZE":          F_SLICE_SIZE,
	"PAN123_F_SLICE_COUNT":         F_SLICE_COUNT,
	"PAN123_F_SERVER_COUNT":        F_SERVER_COUNT,
	"PAN123_F_EXPIRES_UNIX_MS":     F_EXPIRES_UNIX_MS,
	"PAN123_F_BYTES_SENT":          F_BYTES_SENT,
	"PAN123_F_ELAPSED_MS":          F_ELAPSED_MS,
	"PAN123_F_BODY_LEN":            F_BODY_LEN,
	"PAN123_F_TIMEOUT_MS":          F_TIMEOUT_MS,
	"PAN123_EV_STATE":              EV_STATE,
	"PAN123_EV_PROGRESS":           EV_PROGRESS,
	"PAN123_EV_SLICE":              EV_SLICE,
	"PAN123_EV_RETRY":              EV_RETRY,
	"PAN123_EV_LOG":                EV_LOG,
	"PAN123_EV_COMPLETED":          EV_COMPLETED,
	"PAN123_EV_FAILED":             EV_FAILED,
	"PAN123_EV_CANCELLED":          EV_CANCELLED,
	"PAN123_EV_PAUSED":             EV_PAUSED,
	"PAN123_STAGE_NEW":             STAGE_NEW,
	"PAN123_STAGE_HASHING":         STAGE_HASHING,
	"PAN123_STAGE_CREATING":        STAGE_CREATING,
	"PAN123_STAGE_SENDING":         STAGE_SENDING,
	"PAN123_STAGE_COMPLETING":      STAGE_COMPLETING,
	"PAN123_STAGE_DONE":            STAGE_DONE,
	"PAN123_VT_SERIAL":             VT_SERIAL,
	"PAN123_HASH_SHA1":             HASH_SHA1,
	"PAN123_ABI_VERSION":           ABI_VERSION,
}
