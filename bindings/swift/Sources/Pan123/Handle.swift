import CPan123

/// An object of the library, freed with the last reference to this.
///
/// The library allows every object to be used by all threads at once.
final class Handle: @unchecked Sendable {
    typealias Free = @convention(c) (OpaquePointer?) -> Void

    let api: cpan123_functions
    private let pointer: OpaquePointer
    private let free: Free

    /// Takes over what `make` makes.
    init(
        _ api: cpan123_functions, free: Free,
        make: (_ out: UnsafeMutablePointer<OpaquePointer?>, _ error: UnsafeMutablePointer<OpaquePointer?>) -> pan123_status
    ) throws(Pan123Error) {
        var made: OpaquePointer?
        try api.check { error in make(&made, error) }
        guard let made else { throw Pan123Error(.internal, "the library made nothing and said nothing") }
        (self.api, self.pointer, self.free) = (api, made, free)
    }

    deinit { free(pointer) }

    /// Lends the object for as long as `body` runs.
    func lend<T>(_ body: (OpaquePointer) -> T) -> T {
        withExtendedLifetime(self) { body(pointer) }
    }
}

extension Handle? {
    /// Lends the object, or NULL.
    func lend<T>(_ body: (OpaquePointer?) -> T) -> T {
        withExtendedLifetime(self) { self.map { $0.lend(body) } ?? body(nil) }
    }
}

extension cpan123_functions {
    /// Makes a call that can fail.
    func check(
        _ call: (_ error: UnsafeMutablePointer<OpaquePointer?>) -> pan123_status
    ) throws(Pan123Error) {
        var error: OpaquePointer?
        let status = call(&error)
        if status != PAN123_OK { throw Pan123Error(self, status, taking: error) }
    }

    /// Makes a call whose outcome is a result.
    func result(
        _ call: (_ out: UnsafeMutablePointer<OpaquePointer?>, _ error: UnsafeMutablePointer<OpaquePointer?>) -> pan123_status
    ) throws(Pan123Error) -> Fields {
        Fields(try Handle(self, free: result_free, make: call))
    }
}

/// What a call found out.
struct Fields {
    private let handle: Handle

    init(_ handle: Handle) { self.handle = handle }

    func number(_ field: Int32) -> Int64? {
        let value = handle.lend { handle.api.result_i64($0, UInt32(field), .min) }
        return value == .min ? nil : value
    }

    func size(_ field: Int32) -> UInt64 { UInt64(clamping: number(field) ?? 0) }

    func bytes(_ field: Int32, _ index: Int = 0) -> [UInt8]? {
        handle.lend { pointer in
            var length = 0
            guard let text = handle.api.result_str(pointer, UInt32(field), index, &length) else { return nil }
            return Array(UnsafeRawBufferPointer(start: text, count: length))
        }
    }

    func text(_ field: Int32, _ index: Int = 0) -> String? {
        bytes(field, index).map { String(decoding: $0, as: UTF8.self) }
    }

    func texts(_ field: Int32, count: Int32) -> [String] {
        (0..<Int(number(count) ?? 0)).compactMap { text(field, $0) }
    }
}

/// A text of the library's, which ends with NUL.
func string(_ start: UnsafePointer<CChar>?) -> String? {
    start.map { String(cString: $0) }
}

extension String {
    /// Lends the text as the library takes it: pointer and length.
    func lend<T>(_ body: (UnsafePointer<CChar>, Int) -> T) -> T {
        let length = utf8.count
        return withCString { body($0, length) }
    }
}

extension String? {
    /// Lends the text, or NULL.
    func lend<T>(_ body: (UnsafePointer<CChar>?, Int) -> T) -> T {
        self.map { $0.lend(body) } ?? body(nil, 0)
    }
}
