"""What the browser shows: Vuetify components bound to the values of ``page_state.PageState``."""
