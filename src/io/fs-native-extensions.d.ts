/**
 * Types of the optional dependency `fs-native-extensions`, which has none; only the functions that
 * varve calls. Offsets and lengths are bytes. They are here so that the project also compiles
 * without the addon. See `node-native-extensions.ts`.
 */

declare module 'fs-native-extensions' {
  export function tryLock(fd: number, offset: number, length: number): boolean;
  export function unlock(fd: number, offset: number, length: number): void;
  export function trim(fd: number, offset: number, length: number): Promise<void>;
  export function sparse(fd: number): Promise<void>;
}
