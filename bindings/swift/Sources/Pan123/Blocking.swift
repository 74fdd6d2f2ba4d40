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
                if !started { continuation.resume(throwing: noThread()) }
            }
        } onCancel: {
            stop.lend(api.stop_fire)
        }
    } catch let error as Pan123Error where error.kind == .cancelled {
        try Task.checkCancellation()
        throw error
    }
}

/// As ``blocking(_:_:)``, for a call that nothing can stop: when the task is cancelled, it is left to its thread, and looks at
/// `isLeft` between its steps.
func leavable<T: Sendable>(_ call: @escaping @Sendable (_ isLeft: () -> Bool) throws -> T) async throws -> T {
    let answer = Answer<T>()
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            guard answer.isAwaited(by: continuation) else { return }
            let started = onThread { answer.put(Result { try call { answer.isLeft } }) }
            if !started { answer.put(.failure(noThread())) }
        }
    } onCancel: {
        answer.leave()
    }
}

/// What a call answers, or the news that its task was cancelled, whichever comes first.
private final class Answer<T: Sendable>: Sendable {
    private let state = Mutex<(waiting: CheckedContinuation<T, any Error>?, isLeft: Bool)>((nil, false))

    var isLeft: Bool { state.withLock { $0.isLeft } }

    /// False if nobody waits any more.
    func isAwaited(by continuation: CheckedContinuation<T, any Error>) -> Bool {
        let isLeft = state.withLock { state in
            if !state.isLeft { state.waiting = continuation }
            return state.isLeft
        }
        if isLeft { continuation.resume(throwing: CancellationError()) }
        return !isLeft
    }

    func put(_ result: Result<T, any Error>) { take { _ in }?.resume(with: result) }

    func leave() { take { $0 = true }?.resume(throwing: CancellationError()) }

    private func take(_ change: (inout Bool) -> Void) -> CheckedContinuation<T, any Error>? {
        state.withLock { state in
            change(&state.isLeft)
            defer { state.waiting = nil }
            return state.waiting
        }
    }
}

private func noThread() -> Pan123Error { Pan123Error(.internal, "the system gives no thread for the call") }

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
