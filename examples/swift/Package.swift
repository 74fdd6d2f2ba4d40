// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "examples",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "pan123", path: "../../bindings/swift")],
    targets: [
        .executableTarget(
            name: "slice", dependencies: [.product(name: "Pan123", package: "pan123")], path: ".",
            sources: ["slice.swift"])
    ],
    swiftLanguageModes: [.v6]
)
