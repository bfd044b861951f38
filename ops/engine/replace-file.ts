/** Files that are whole at any moment. */
import { randomUUID } from "node:crypto";
import { chmod, open, rename, rm, stat } from "node:fs/promises";
import path from "node:path";

/**
 * Writes a file so that whoever reads it, and whatever ends this process, finds the former text or the new one.
 * @param mode permissions of the file. Default: as they are; 0644 for a new one.
 */
export async function replaceFile(file: string, text: string, mode?: number): Promise<void> {
  const former = await stat(file).catch(() => undefined);
  const permissions = mode ?? (former === undefined ? 0o644 : former.mode & 0o777);
  const beside = path.join(path.dirname(file), `.${path.basename(file)}.${randomUUID()}`);
  try {
    const handle = await open(beside, "wx", permissions);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // The umask may have taken something away.
    await chmod(beside, permissions);
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
