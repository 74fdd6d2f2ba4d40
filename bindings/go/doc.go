// Package pan123 uploads files to 123 Cloud Drive (123 pan) through the upload API v2 of its open platform. It adds to
// the library libpan123 what a Go program expects, and no behaviour.
//
// # Three levels
//
// A [Client] uploads: [Client.UploadFile] and [Client.Upload] return when the service has stored the file;
// [Client.Start] returns at once an [Upload] to watch, pause and wait for. They hash, ask the service whether it has the
// bytes already, send slices in parallel, try again, and go on after an interruption.
//
// The service's own operations are calls of one request each: [Client.Create], [Client.UploadSlice], [Client.Complete],
// [Client.Single], [Client.Domain], [Client.Token]; [Hash] needs no client.
//
// What a program can bring: a [Source] of bytes, a [TokenFunc], an [http.RoundTripper].
//
// # Errors
//
// Every error is an [*Error], or wraps one. Its kind is a [Code], asked for with errors.Is:
//
//	if errors.Is(err, pan123.ErrLogin) { ... }
//
// What a context, a reader, a token source or a RoundTripper said is found by errors.Is and errors.As too.
//
// # Contexts, goroutines, threads
//
// Everything may be used by all goroutines at once. A call whose context is done returns within 250 ms, also if a
// callback never returns; the error is ErrCancelled, and context.Canceled or context.DeadlineExceeded, and the context's
// cause. An upload that runs holds no thread of Go's; the calls of one request hold one each while they wait. A callback
// runs on a thread of the library; runtime.Goexit, and with it testing.T.FailNow, must not be called there, while a panic
// becomes an error.
//
// # Building
//
// The package is linked with libpan123 by cgo, through pkg-config. Programs that are built without cgo import
// pan123/nocgo besides, which loads the library when they run.
package pan123
