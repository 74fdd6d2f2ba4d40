import CPan123

/// An object of the program's, as the library holds it: by a number that stands for a reference.
final class Held<Object: Sendable>: Sendable {
    let object: Object
    let api: cpan123_functions
    private let failures = Failures()

    private init(_ object: Object, _ api: cpan123_functions) {
        self.object = object
        self.api = api
    }

    /// The number, with a reference that `release` drops.
    static func hold(_ object: Object, _ api: cpan123_functions) -> UInt {
        UInt(bitPattern: Unmanaged.passRetained(Held(object, api)).toOpaque())
    }

    /// What the number stands for.
    static func at(_ context: UInt) -> Held {
        unmanaged(context).takeUnretainedValue()
    }

    /// Drops the reference.
    static func release(_ context: UInt) {
        unmanaged(context).release()
    }

    private static func unmanaged(_ context: UInt) -> Unmanaged<Held> {
        // A context is never 0: it was made from a reference.
        Unmanaged.fromOpaque(UnsafeRawPointer(bitPattern: context)!)
    }

    /// Runs a callback's body and tells the library how it went. An error that does not say its kind is a `fallback`.
    func answer(
        _ error: UnsafeMutablePointer<OpaquePointer?>?, or fallback: Pan123Error.Kind, _ body: () throws -> Void
    ) -> pan123_status {
        do {
            try body()
            return PAN123_OK
        } catch let thrown {
            var kind = (thrown as? Pan123Error)?.kind ?? fallback
            // 0 would be success.
            if kind.rawValue <= 0 { kind = .callback }
            error?.pointee = failures.keep(thrown).lend { api.error_new(kind.rawValue, $0, $1) }
            return kind.rawValue
        }
    }
}

/// The head of a vtable.
func head<Vtable>(
    of _: Vtable.Type, release: @escaping @convention(c) (UInt) -> Void
) -> pan123_vtable {
    pan123_vtable(struct_size: UInt32(MemoryLayout<Vtable>.size), flags: 0, release: release, extension: nil)
}

/// A text that a callback is lent.
func text(_ start: UnsafePointer<CChar>?, _ length: Int) -> String {
    String(decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
}
