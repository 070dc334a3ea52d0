/**
 * Loads the optional dependency `fs-native-extensions`: byte-range locks that the kernel drops with
 * the process, and holes in files.
 *
 * Invariant: a missing addon is no error. It is missing if optional dependencies were left out,
 * without a prebuild (musl, FreeBSD, 32-bit), and with `--no-addons`. Then the platform's lock is
 * the only one (`node-lock.ts`), and files have no `trim`. Nothing else imports it.
 */

import { nodeModule } from './node-modules.ts';

/** The functions of the addon that varve uses. Offsets and lengths are bytes. */
export interface NativeExtensions {
  /** False if another descriptor holds the lock. */
  tryLock(fd: number, offset: number, length: number): boolean;
  unlock(fd: number, offset: number, length: number): void;
  trim(fd: number, offset: number, length: number): Promise<void>;
  /** Needed before `trim` on Windows, which would write zeros otherwise; does nothing elsewhere. */
  sparse(fd: number): Promise<void>;
}

const packageName = 'fs-native-extensions';

let loading: Promise<NativeExtensions | undefined> | undefined;

/** The addon; undefined if it cannot be loaded. Loaded once. */
export function loadNativeExtensions(): Promise<NativeExtensions | undefined> {
  loading ??= load();
  return loading;
}

async function load(): Promise<NativeExtensions | undefined> {
  // Deno and many versions of Bun load the addon, but its first call ends the process: they lack a
  // function of libuv (uv_get_osfhandle; oven-sh/bun#18546). No catch can prevent that.
  if (process.versions['bun'] !== undefined || process.versions['deno'] !== undefined) {
    return undefined;
  }
  try {
    return loadWithoutSearch();
  } catch {
    // The reason does not matter: the package searches by itself.
  }
  try {
    return await import('fs-native-extensions');
  } catch {
    // The reason does not matter: the platform's own lock is used.
    return undefined;
  }
}

/**
 * Loads the package with the binary at its usual place. The package's own search loads a dozen
 * modules, which takes 8 ms; the binary itself takes 0.2 ms. Only the module that searches is
 * replaced: what calls the binary is the code of the same package, whatever its version is.
 *
 * Throws if the package or the binary is not where it is expected, and in a bundle.
 */
function loadWithoutSearch(): NativeExtensions {
  const { createRequire, Module } = nodeModule('module');
  const { dirname, join } = nodeModule('path');
  const loadModule = createRequire(ownManifest());
  const main = loadModule.resolve(packageName);
  const binary = join(dirname(main), 'prebuilds', hostName(), `${packageName}.node`);
  const searching = join(dirname(main), 'binding.js');
  if (loadModule.cache[searching] === undefined) {
    const found = new Module(searching);
    found.exports = loadModule(binary);
    found.loaded = true;
    loadModule.cache[searching] = found;
  }
  return loadModule(main);
}

/** Throws on Alpine Linux: a binary for glibc must not be loaded there. */
function hostName(): string {
  const { platform, arch } = process;
  if (platform === 'linux' && nodeModule('fs').existsSync('/etc/alpine-release'))
    throw new Error('musl');
  return `${platform}-${arch}`;
}

/**
 * The nearest package.json above this file, which is that of varve. It is another one in a bundle
 * that lies elsewhere, which must not take an addon from whatever folder is above it. A bundle in
 * CommonJS has no URL. Throws in both cases.
 */
function ownManifest(): URL {
  const fs = nodeModule('fs');
  let manifest = new URL('package.json', import.meta.url);
  while (!fs.existsSync(manifest)) {
    const above = new URL('../package.json', manifest);
    if (above.href === manifest.href) throw new Error('no package');
    manifest = above;
  }
  const { name } = JSON.parse(fs.readFileSync(manifest, 'utf8')) as { name?: string };
  if (name !== 'varve') throw new Error(`another package: ${name}`);
  return manifest;
}
