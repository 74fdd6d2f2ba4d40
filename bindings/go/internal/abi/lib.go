package abi

import "unsafe"

// Ptr is a handle of the library, or something that it has lent.
type Ptr = unsafe.Pointer

// Lib is libpan123. Each method is the function of its name in pan123.h, with texts and bytes as Go has them. Where a
// function returns a status, the handle is nil and the error may be set if the status is not OK.
//
// No method keeps a Go pointer once it has returned, except SourceFromMemory, whose data must be pinned.
type Lib interface {
	ABICheck(version uint32) int32
	Version() string
	// ConstantAt returns an empty name after the last constant.
	ConstantAt(i int) (name string, value int64)

	ErrorI64(e Ptr, field uint32, absent int64) int64
	ErrorStr(e Ptr, field uint32) string
	ErrorFree(e Ptr)
	ResultI64(r Ptr, field uint32, absent int64) int64
	// ResultStr says false after the last entry of a list.
	ResultStr(r Ptr, field uint32, index int) (string, bool)
	ResultFree(r Ptr)

	OptionsNew() (o Ptr, status int32, err Ptr)
	OptionsSetStr(o Ptr, option uint32, value string) (int32, Ptr)
	OptionsSetU64(o Ptr, option uint32, value uint64) (int32, Ptr)
	OptionsFree(o Ptr)
	StopNew() (s Ptr, status int32, err Ptr)
	StopFire(s Ptr)
	StopFree(s Ptr)

	// SourceNew, TransportNew and TokensNew take what Keep returned; Release comes from the library.
	SourceNew(ctx uintptr, size uint64, hasIdentity bool) (s Ptr, status int32, err Ptr)
	SourceFromPath(path string) (s Ptr, status int32, err Ptr)
	SourceFromMemory(data []byte, ctx uintptr) (s Ptr, status int32, err Ptr)
	SourceFree(s Ptr)
	TransportNew(ctx uintptr) (t Ptr, status int32, err Ptr)
	TransportFree(t Ptr)
	TokensNew(ctx uintptr) (t Ptr, status int32, err Ptr)
	TokensFree(t Ptr)

	HTTPStr(x Ptr, field uint32) string
	HTTPI64(x Ptr, field uint32, absent int64) int64
	// HTTPHeader says false after the last one.
	HTTPHeader(x Ptr, ofAnswer bool, i int) (name, value string, ok bool)
	HTTPSetHeader(x Ptr, ofAnswer bool, name, value string) int32
	HTTPReadBody(x Ptr, offset uint64, p []byte) (n int, status int32, err Ptr)
	HTTPAnswer(x Ptr, httpStatus int, body []byte) int32

	QueueNew() (q Ptr, status int32, err Ptr)
	QueueNext(q Ptr, timeoutMS int64, ev *Event) int32
	QueueHandle(q Ptr) (handle int64, status int32)
	QueueFree(q Ptr)

	ClientNew(o, tokens, transport, queue Ptr) (c Ptr, status int32, err Ptr)
	ClientShutdown(c Ptr, cancel bool, timeoutMS int64) (int32, Ptr)
	ClientFree(c Ptr)

	Hash(sources []Ptr, sliceSize uint64, flags uint32, stop Ptr) (results []Ptr, status int32, err Ptr)
	Token(c, stop Ptr) (r Ptr, status int32, err Ptr)
	Domain(c, stop Ptr) (r Ptr, status int32, err Ptr)
	Create(c Ptr, parent int64, name, etag string, size uint64, o, stop Ptr) (r Ptr, status int32, err Ptr)
	Slice(c Ptr, server, preuploadID string, no uint32, md5 string, data []byte, stop Ptr) (int32, Ptr)
	SliceFrom(c Ptr, server, preuploadID string, no uint32, md5 string, s Ptr, offset, length uint64, stop Ptr) (int32, Ptr)
	Complete(c Ptr, preuploadID string, stop Ptr) (r Ptr, status int32, err Ptr)
	Single(c Ptr, server string, parent int64, name, etag string, s, o, stop Ptr) (r Ptr, status int32, err Ptr)

	UploadNew(c, s Ptr, parent int64, name string, o Ptr, user uint64) (u Ptr, status int32, err Ptr)
	UploadImport(c, s Ptr, state []byte, o Ptr, user uint64) (u Ptr, status int32, err Ptr)
	UploadStart(u Ptr) (int32, Ptr)
	UploadCancel(u Ptr)
	UploadPause(u Ptr)
	UploadWait(u Ptr, timeoutMS int64) (r Ptr, status int32, err Ptr)
	UploadProgress(u Ptr, p *Progress) int32
	UploadExport(u Ptr) (r Ptr, status int32, err Ptr)
	UploadFree(u Ptr)
}

// Event is pan123_event, with the text copied.
type Event struct {
	Kind       uint32
	SliceNo    uint32
	Code       int32
	User       uint64
	Seq        uint64
	BytesDone  uint64
	BytesTotal uint64
	Value      int64
	Text       string
}

// Progress is pan123_progress, as it lies in memory.
type Progress struct {
	StructSize     uint32
	State          uint32
	SlicesDone     uint32
	SlicesTotal    uint32
	Retries        uint32
	Reserved       uint32
	BytesHashed    uint64
	BytesSent      uint64
	BytesConfirmed uint64
	BytesTotal     uint64
}

// Identity is pan123_identity, as it lies in memory.
type Identity struct {
	StructSize uint32
	Flags      uint32
	Size       uint64
	Inode      uint64
	MtimeNS    int64
}

// Linked is the library if the program is linked with it, by cgo.
var Linked Lib

// Load loads the library at run time, if the program has a package that can.
var Load func() (Lib, error)
