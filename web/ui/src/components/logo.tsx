/** The mark of the project, as in `public/icon.svg`. */
export function Logo() {
  return (
    <svg className="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M6 4h20a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4H15l-8 6v-6H6a4 4 0 0 1-4-4V8a4 4 0 0 1 4-4z" />
      <circle cx="10" cy="14" r="2" />
      <circle cx="16" cy="14" r="2" />
      <circle cx="22" cy="14" r="2" />
    </svg>
  );
}
