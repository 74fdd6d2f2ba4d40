import CPan123

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The library libpan123, as this process has it.
///
/// It is loaded by the first call that needs it. Without a usable library that call throws a ``Pan123Error`` of the
/// kind ``Pan123Error/Kind/library``, whose message says what was looked for, what was found, and what to do.
public struct Library: Sendable {
    /// The library's version, for example `0.1.0`.
    public let version: String
    /// How the library was built, as one JSON object.
    public let buildInfo: String

    /// The library of this process.
    public static var loaded: Library {
        get throws(Pan123Error) {
            let api = try functions()
            return Library(version: string(api.version()) ?? "", buildInfo: string(api.build_info()) ?? "")
        }
    }
}

#if canImport(Darwin)
private let usualName = "libpan123.0.1.dylib"
#else
private let usualName = "libpan123.so.0.1"
#endif

/// The library's functions; an error if there is no library, or one that does not fit.
func functions() throws(Pan123Error) -> cpan123_functions {
    try table.get()
}

private let table: Result<cpan123_functions, Pan123Error> = load(named: ProcessInfo.processInfo.environment["PAN123_LIBRARY"])

/// Takes the library that `PAN123_LIBRARY` names, if it is not empty; else the one that the program is linked with; else the one that the
/// system finds.
func load(named path: String?) -> Result<cpan123_functions, Pan123Error> {
    var api = cpan123_functions()
    var reason = [CChar](repeating: 0, count: 1024)
    let place: String
    var found: Int32
    if let path, !path.isEmpty {
        place = path
        found = cpan123_load(path, &api, &reason, reason.count)
    } else {
        place = usualName
        found = cpan123_load(nil, &api, &reason, reason.count)
        if found != 0 {
            found = cpan123_load(usualName, &api, &reason, reason.count)
        }
    }
    let why = String(decoding: reason.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    let (major, minor) = (PAN123_ABI_VERSION >> 24, (PAN123_ABI_VERSION >> 16) & 0xff)
    let wanted = "\(major).\(minor)"
    switch found {
    case 0 where api.abi_check(PAN123_ABI_VERSION) == PAN123_OK:
        return .success(api)
    case 0:
        return .failure(unusable("\(place) has version \(string(api.version()) ?? "unknown")", wanted))
    case 1 where why.contains(place) && why.lowercased().contains("no such file"):
        return .failure(Pan123Error(.library, "libpan123 is missing: \(why)", advice: howToFind))
    case 1:
        return .failure(Pan123Error(.library, "libpan123 cannot be loaded: \(why)", advice: howToFind))
    case 2:
        return .failure(unusable("\(place) is too old: \(why)", wanted))
    default:
        return .failure(Pan123Error(.library, "\(place) is not libpan123: \(why)", advice: howToFind))
    }
}

private let howToFind = "Install libpan123, or name it in PAN123_LIBRARY, or its folder in LD_LIBRARY_PATH."

private func unusable(_ what: String, _ wanted: String) -> Pan123Error {
    let advice = "Install libpan123 \(wanted), or a package Pan123 that fits the library."
    return Pan123Error(.library, "libpan123 does not fit this package, which needs interface \(wanted): \(what)", advice: advice)
}
