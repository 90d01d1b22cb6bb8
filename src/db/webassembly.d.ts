// What schema-engine.ts needs of WebAssembly: the types are in TypeScript's "dom", which would let every file use names
// that Node does not have.
declare namespace WebAssembly {
  type ModuleImports = Record<string, unknown>
  interface Instance { readonly exports: Record<string, unknown> }
  function instantiate (bytes: Uint8Array, imports: Record<string, ModuleImports>): Promise<{ instance: Instance }>
}
