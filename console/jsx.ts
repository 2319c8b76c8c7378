// What TSX compiles to. The build puts it in front of every file: it is shorter than the automatic runtime's form.
export { Fragment, h } from 'preact';
