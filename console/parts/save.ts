/** Gives a file to the browser, as a download. */
export function save(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The download has begun by then, and the memory is given back.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
