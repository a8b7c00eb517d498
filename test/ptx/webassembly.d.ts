// What run.ts uses of it: Node has WebAssembly, the types of Node 20 do not.
declare namespace WebAssembly {
  type ModuleImports = Record<string, Memory | ((...args: number[]) => unknown)>;
  class Module {
    constructor(bytes: Uint8Array<ArrayBuffer>);
  }
  class Instance {
    constructor(module: Module, imports: Record<string, ModuleImports>);
    readonly exports: Record<string, unknown>;
  }
  class Memory {
    constructor(how: { initial: number });
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
}
