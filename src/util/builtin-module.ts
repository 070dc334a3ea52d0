/**
 * Built-in modules that merely help, on platforms that have them.
 *
 * Invariant: nothing is imported, so the code that asks loads in a browser too. Whoever asks works
 * without the module.
 */

interface ProcessWithModules {
  getBuiltinModule?: (id: string) => unknown;
}

/** The module; undefined where the platform does not have it or cannot give it. */
export function builtinModule<T>(id: string): T | undefined {
  const host = (globalThis as { process?: ProcessWithModules }).process;
  return host?.getBuiltinModule?.(id) as T | undefined;
}
