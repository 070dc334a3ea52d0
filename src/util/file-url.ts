/**
 * The path in a `file:` URL object.
 *
 * Node's own conversion where there is one, for drives and shares on Windows; elsewhere the path of
 * the URL, decoded. It goes by what the object has, not by its class: a URL of another realm is one
 * too. It does not look at strings, and does not check the path.
 */

import { builtinModule } from './builtin-module.ts';

interface UrlModule {
  fileURLToPath(href: string): string;
}
interface UrlObject {
  readonly href: string;
  readonly protocol: string;
  readonly host: string;
  readonly pathname: string;
}

function isUrlObject(value: unknown): value is UrlObject {
  if (typeof value !== 'object' || value === null) return false;
  const parts = value as Record<string, unknown>;
  return ['href', 'protocol', 'host', 'pathname'].every((part) => typeof parts[part] === 'string');
}

/** Undefined if `value` is no URL object, or one that names no file of this machine. */
export function pathOfFileUrl(value: unknown): string | undefined {
  if (!isUrlObject(value) || value.protocol !== 'file:') return undefined;
  const urls = builtinModule<UrlModule>('url');
  try {
    if (urls !== undefined) return urls.fileURLToPath(value.href);
    // A slash that is written as %2F would become another folder.
    const isPlain = value.host === '' && !/%2f/i.test(value.pathname);
    return isPlain ? decodeURIComponent(value.pathname) : undefined;
  } catch {
    // The conversion refuses it: another host, or an escape that is none.
    return undefined;
  }
}
