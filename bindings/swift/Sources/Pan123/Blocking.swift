import CPan123
import Dispatch
import Synchronization

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Makes a call that waits, on a thread of its own, so that none of the threads that run tasks is held up.
///
/// The call is given a stop object, which is fired when the task is cancelled.
func blocking<T: Sendable>(
    _ api: cpan123_functions, _ call: @escaping @Sendable (Handle) throws -> T
) async throws -> T {
    try Task.checkCancellation()
    let stop = try Handle(api, free: api.stop_free, make: api.stop_new)
    do {
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let started = onThread { continuation.resume(with: Result { try call(stop) }) }
                if !started {
                    continuation.resume(throwing: Pan123Error(.internal, "the system gives no thread for the call"))
                }
            }
        } onCancel: {
            stop.lend(api.stop_fire)
        }
    } catch let error as Pan123Error where error.kind == .cancelled {
        try Task.checkCancellation()
        throw error
    }
}

private final class Work {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
}

/// Runs `work` on a new thread, which ends with it. False, and nothing is run, if the system gives none.
private func onThread(_ work: @escaping @Sendable () -> Void) -> Bool {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    let work = Unmanaged.passRetained(Work(work))
    #if canImport(Darwin)
    var thread: pthread_t?
    let failed = pthread_create(&thread, &attributes, { run($0); return nil }, work.toOpaque())
    #else
    var thread = pthread_t()
    let failed = pthread_create(&thread, &attributes, { run($0!); return nil }, work.toOpaque())
    #endif
    if failed != 0 { work.release() }
    return failed == 0
}

private func run(_ work: UnsafeMutableRawPointer) {
    cpan123_name_thread("pan123-call")
    Unmanaged<Work>.fromOpaque(work).takeRetainedValue().run()
}

/// Runs a task and holds the calling thread, which is one of the library's, until it is over. `started` is told of the
/// task before.
func waiting<T: Sendable>(
    _ body: @escaping @Sendable () async throws -> T, started: (Task<Void, Never>) -> Void = { _ in }
) -> Result<T, any Error> {
    let outcome = Outcome<T>()
    started(Task.detached {
        do {
            outcome.put(.success(try await body()))
        } catch {
            outcome.put(.failure(error))
        }
    })
    return outcome.take()
}

/// A place for a result, and a thread that waits for it.
private final class Outcome<T: Sendable>: Sendable {
    private let result = Mutex<Result<T, any Error>?>(nil)
    private let arrived = DispatchSemaphore(value: 0)

    func put(_ new: Result<T, any Error>) {
        result.withLock { $0 = new }
        arrived.signal()
    }

    func take() -> Result<T, any Error> {
        arrived.wait()
        return result.withLock { $0! }
    }
}
