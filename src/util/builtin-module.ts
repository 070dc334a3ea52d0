/**
 * Optional built-in modules, on platforms that have them.
 *
 * Invariant: nothing is imported, so the calling code also loads in a browser. Callers must work
 * without the module.
 */

interface ProcessWithModules {
  getBuiltinModule?: (id: string) => unknown;
}

/** The module; undefined if the platform does not have it. */
export function builtinModule<T>(id: string): T | undefined {
  const host = (globalThis as { process?: ProcessWithModules }).process;
  return host?.getBuiltinModule?.(id) as T | undefined;
}
