import { Component, type ReactNode } from "react";

/** The last resort: a page that failed says so instead of going blank. */
export class PageBoundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <main className="start">
        <div className="start-card" role="alert">
          <h1>Something went wrong</h1>
          <p className="lead">The page could not be shown. Your chats are safe on the server.</p>
          <button type="button" onClick={() => location.reload()}>
            Reload the page
          </button>
        </div>
      </main>
    );
  }
}
