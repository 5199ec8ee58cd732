"""Words before anything is drawn: explained, styled, expanded from templates."""
