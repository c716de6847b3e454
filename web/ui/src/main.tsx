import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "@/app/app";
import { PageBoundary } from "@/components/page-boundary";
import "@/styles/base.css";
import "@/styles/chat.css";
import "@/styles/prose.css";
import "@/styles/sessions.css";
import "@/styles/print.css";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <PageBoundary>
      <App />
    </PageBoundary>
  </StrictMode>,
);
